"""Preference pairs that the rows of a dataset bring: counted, dropped where asked for, and made scored responses."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rftlab.data.parts.rows import Rows
from rftlab.data.parts.splits import Origin, drawn
from rftlab.types import Example, ScoredText

KEY = "data.loader.drop_pairs.empty"
CHOSEN, REJECTED = 1.0, 0.0  # the scores of a pair: which of the two is better is all that a pair says

log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Which pairs are left out; none, unless a config says so."""

    identical: bool  # whose two replies are the same text
    contradicting: bool  # that stand there in both orders
    empty: bool  # of which one reply has no character but white space, or a field is null


@dataclass(frozen=True, kw_only=True)
class TextPair:
    """Two replies to one prompt, of which a row calls the chosen one better."""

    prompt: str
    chosen: str
    rejected: str

    @property
    def identical(self) -> bool:
        """Say whether the two replies are one text."""
        return self.chosen == self.rejected

    @property
    def empty(self) -> bool:
        """Say whether one of the replies says nothing."""
        return not (self.chosen.strip() and self.rejected.strip())

    @property
    def reversed(self) -> "TextPair":
        """Give the pair that says the opposite."""
        return TextPair(prompt=self.prompt, chosen=self.rejected, rejected=self.chosen)


NO_PAIR = TextPair(prompt="", chosen="", rejected="")  # stands for a row with a null until it is counted and dropped


@dataclass(frozen=True, kw_only=True)
class PairCounts:
    """What there is among some pairs."""

    pairs: int
    repeated: int  # beyond the first of its kind
    identical: int
    contradicting: int  # that stand there in both orders; both orders count as one
    empty: int
    dropped: int

    def told(self, split: str) -> str:
        """Say in one line what there is."""
        words = {
            "repeated": self.repeated,
            "of identical replies": self.identical,
            "in both orders": self.contradicting,
            "with an empty reply": self.empty,
        }
        said = ", ".join(f"{count} {word}" for word, count in words.items())
        return f"pairs of split '{split}': {self.pairs}; {said}; {self.dropped} dropped by data.loader.drop_pairs"


def count(pairs: Sequence[TextPair], drop: Drop) -> PairCounts:
    """Count what stands out among pairs, and how many of them `drop` leaves out."""
    kinds = Counter(pairs)
    both = sum(pair.reversed in kinds for pair in kinds if not pair.identical)
    return PairCounts(
        pairs=len(pairs),
        repeated=len(pairs) - len(kinds),
        identical=sum(pair.identical for pair in pairs),
        contradicting=both // 2,
        empty=sum(pair.empty for pair in pairs),
        dropped=len(pairs) - len(kept(pairs, drop)),
    )


def kept(pairs: Sequence[TextPair], drop: Drop) -> list[int]:
    """Number the pairs that are not left out."""
    kinds = set(pairs) if drop.contradicting else set()

    def left_out(pair: TextPair) -> bool:
        contradicted = drop.contradicting and not pair.identical and pair.reversed in kinds
        return contradicted or (drop.identical and pair.identical) or (drop.empty and pair.empty)

    return [number for number, pair in enumerate(pairs) if not left_out(pair)]


def scored(pairs: Sequence[TextPair], split: str, drop: Drop) -> list[ScoredText]:
    """Make two scored responses of each pair, and tell in one line what there is.

    Each pair has an example of its own, also where several are about one prompt: its replies are compared with each
    other alone.
    """
    log.info(count(pairs, drop).told(split))
    rows = []
    for number in kept(pairs, drop):
        pair = pairs[number]
        example = Example(id=f"{split}-pair-{number}", prompt=pair.prompt, targets=(pair.chosen,))
        rows += [
            ScoredText(example=example, response=text, score=score)
            for text, score in ((pair.chosen, CHOSEN), (pair.rejected, REJECTED))
        ]
    return rows


def pairs_of_rows(
    rows: Rows,
    numbers: Sequence[int],
    form: Callable[[Mapping[str, Any]], TextPair],
    split: str,
    limit: int | None,
    origin: Origin,
    drop: Drop,
) -> list[ScoredText]:
    """Make the scored responses of one of our splits: two of each row of a random subset, which is that of the prompts.

    Raises:
        UserError: a row of another kind, one with a null that is not dropped, or one that `form` refuses.
    """
    places = drawn(range(len(numbers)), limit, origin.draw(split))
    made = rows.make([numbers[place] for place in places], form, (lambda: NO_PAIR) if drop.empty else None, KEY)
    return scored(list(made), split, drop)
