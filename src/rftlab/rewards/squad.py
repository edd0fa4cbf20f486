"""Exact match and token F1 of short answers, with the normalisation of SQuAD."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from rftlab.rewards.references import with_references

ARTICLE = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, kw_only=True)
class ExactMatch:
    """Score 1 if a response is one of its references, else 0.

    With `normalise`, case, ASCII punctuation, English articles and white space do not count (Rajpurkar et al. 2016,
    the official script of SQuAD 1.1); without, every character does.
    """

    normalise: bool

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response.

        Raises:
            UserError: A row has no reference.
        """
        form = normalised if self.normalise else str
        return _best(prompts, responses, targets, lambda text, gold: float(form(text) == form(gold)))


@dataclass(frozen=True, kw_only=True)
class TokenF1:
    """Score the best F1 of the words that a response shares with a reference, in [0, 1] (Rajpurkar et al. 2016).

    Words are those of the normalised texts, each counted as often as it stands in both. Where a reference has no word
    left, as of a question without an answer (SQuAD 2.0), a response without one scores 1 and any other 0.
    """

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response.

        Raises:
            UserError: A row has no reference.
        """
        return _best(prompts, responses, targets, _f1)


def normalised(text: str) -> str:
    """Drop case, ASCII punctuation, articles and superfluous white space, in this order, as SQuAD's script does."""
    return " ".join(ARTICLE.sub(" ", text.lower().translate(WITHOUT_PUNCTUATION)).split())


def _f1(response: str, reference: str) -> float:
    words, gold = normalised(response).split(), normalised(reference).split()
    if not words or not gold:
        return float(words == gold)
    return 2 * (Counter(words) & Counter(gold)).total() / (len(words) + len(gold))


def _best(
    prompts: Sequence[str],
    responses: Sequence[str],
    targets: Sequence[tuple[str, ...]],
    score: Callable[[str, str], float],
) -> Float[np.ndarray, " n"]:
    """Give every response its best score over the references; an empty reference is an answer like any other."""
    rows = with_references(prompts, responses, targets, empty=True)
    return np.array([max(score(text, gold) for gold in references) for text, references in rows], dtype=np.float64)
