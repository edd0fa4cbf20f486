"""Lexical diversity: how many of a response's n-grams are different."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from rftlab.ranges import Positive
from rftlab.rewards.rouge_score import words_of


@dataclass(frozen=True, kw_only=True)
class LexicalDiversity:
    """Score distinct-n: the share of different n-grams among those of a response (Li et al. 2016), in [0, 1].

    It is of one response, not of a corpus, and falls with length: a response of one n-gram scores 1. Below `shortest`
    words the share is taken of the n-grams that so many words would have, so that brevity earns nothing; a response
    without n-grams scores 0.
    """

    n: Positive[int]
    shortest: Positive[int]  # words

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response."""
        return np.array([self._score(response) for response in responses], dtype=np.float64)

    def _score(self, response: str) -> float:
        grams = n_grams(response, self.n)
        return len(set(grams)) / max(len(grams), self.shortest - self.n + 1, 1)


def n_grams(text: str, n: int) -> list[tuple[str, ...]]:
    """Return the n-grams of a text's words, which are in lower case and of every script, as ROUGE's."""
    words = words_of(text, "unicode", False)
    return list(zip(*(words[i:] for i in range(n)), strict=False))
