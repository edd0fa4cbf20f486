"""PARENT: what a sentence about a table says that is in the reference or in the table."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from rapidfuzz.distance import LCSseq

from rftlab.errors import UserError
from rftlab.ranges import UnitInterval
from rftlab.rewards.references import with_references
from rftlab.rewards.rouge_score import words_of

ORDERS = 4  # n-grams of 1 to 4 words
SMOOTHING = 1e-5  # in the place of a precision or recall of 0, as in the released script
VALUE = re.compile(r"<(cell|page_title|section_title)> (.*?) ?(?=<)", re.DOTALL)
Words = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Parent:
    """Score the best PARENT F (Dhingra et al. 2019, word overlap) over the references, in [0, 1].

    The table is read from the prompt, as ToTTo's formatting writes it: the values of its cells and the titles, each
    once; headers do not count. Precision of n-grams: those of the reference count as right, others by the share of
    their words that the table has. Recall: of the n-grams of the reference, each weighed by that share, to the power
    1 - table_weight, times that of the values by longest common subsequences, to the power table_weight. Both are
    geometric means over n = 1..4, so that a response of fewer than four words scores low also if it is the reference.
    """

    table_weight: UnitInterval[float]  # lambda

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response after the table in its prompt.

        Raises:
            UserError: A row has no reference, or its prompt no table.
        """
        rows = zip(prompts, with_references(prompts, responses, targets), strict=True)
        scores = [self._best(table_of(prompt), text, references) for prompt, (text, references) in rows]
        return np.array(scores, dtype=np.float64)

    def _best(self, table: tuple[Words, ...], response: str, references: tuple[str, ...]) -> float:
        words = _words(response)
        return max((self._f(table, words, _words(reference)) for reference in references), default=0.0)

    def _f(self, table: tuple[Words, ...], words: Words, reference: Words) -> float:
        known = {word for value in table for word in value}
        precision = _mean([_precision(words, reference, known, n) for n in range(1, ORDERS + 1)])
        of_reference = _mean([_recall(words, reference, known, n) for n in range(1, ORDERS + 1)]) or SMOOTHING
        mentioned = sum(LCSseq.similarity(value, words) / len(value) for value in table) / len(table) or SMOOTHING
        recall = of_reference ** (1 - self.table_weight) * mentioned**self.table_weight
        return 2 * precision * recall / (precision + recall) if precision else 0.0


@lru_cache(4096)
def table_of(prompt: str) -> tuple[Words, ...]:
    """Return the words of every different cell and title of the table in a prompt.

    Raises:
        UserError: There is no cell with a word.
    """
    found = VALUE.findall(prompt)
    values = dict.fromkeys(words for _, value in found if (words := _words(value)))
    if not values or not any(kind == "cell" for kind, _ in found):
        raise UserError(
            f"no table in the prompt {prompt[:40]!r}", "<cell> VALUE ... </cell>, as data=totto writes it", "reward"
        )
    return tuple(values)


def _words(text: str) -> Words:
    return words_of(text, "unicode", False)


def _grams(words: Words, n: int) -> Counter[Words]:
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def _share(gram: Words, known: set[str]) -> float:
    """Return the share of words that the table has: how likely it says so."""
    return sum(word in known for word in gram) / len(gram)


def _precision(words: Words, reference: Words, known: set[str], n: int) -> float:
    ours, theirs = _grams(words, n), _grams(reference, n)
    right = 0.0
    for gram, count in ours.items():
        there = min(1.0, theirs[gram] / count)
        right += count * (there + (1 - there) * _share(gram, known))
    return right / ours.total() if ours else 0.0


def _recall(words: Words, reference: Words, known: set[str], n: int) -> float:
    """Return the recall of n-grams by their weight; 1 where the table knows none of them."""
    ours, theirs = _grams(words, n), _grams(reference, n)
    weights = {gram: count * _share(gram, known) for gram, count in theirs.items()}
    total = sum(weights.values())
    found = sum(weight * min(1.0, ours[gram] / theirs[gram]) for gram, weight in weights.items())
    return found / total if total else 1.0


def _mean(shares: Sequence[float]) -> float:
    """Return the geometric mean, with a small number for 0 in all orders but the first: without a word it is 0."""
    if shares[0] == 0.0:
        return 0.0
    return math.exp(sum(math.log(share or SMOOTHING) for share in shares) / len(shares))
