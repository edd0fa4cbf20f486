"""What a judge is asked and what it says; what all judges have in common."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Choice = Literal["first", "second", "tie", "unreadable"]
CHARACTERS_PER_TOKEN = 4  # of English text; only for what is counted before a judge has said how many there were


@dataclass(frozen=True, kw_only=True)
class Question:
    """Two responses to one prompt, in the order in which a judge sees them."""

    place: str  # of the prompt: its id, and how often that came before
    prompt: str
    first: str
    second: str
    reference: str | None  # a gold text of the data
    swapped: bool  # whether the second run of the comparison is shown first


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a judge said; tokens are None where nobody counted them."""

    choice: Choice
    said: str
    tokens_in: int | None = None
    tokens_out: int | None = None


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """No verdict was to be had, for a reason that may pass: the question is asked again at the next call."""

    why: str


Answer = tuple[Question, Verdict | Unanswered]


class Judge(Protocol):
    """Says which of two responses is better."""

    @property
    def symmetric(self) -> bool:
        """Say whether the order cannot matter, so that one order is asked."""
        ...

    @property
    def wants_reference(self) -> bool:
        """Say whether a gold text is shown."""
        ...

    def verdicts(self, questions: Sequence[Question], stopped: Callable[[], bool]) -> Iterator[Answer]:
        """Answer questions, each as soon as it is answered and in any order; no new one is begun once `stopped`."""
        ...


def tokens_of(text: str) -> int:
    """Estimate the tokens of a text by its length."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)
