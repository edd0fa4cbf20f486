"""ROUGE-L against several references, the reward of NarrativeQA."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from rapidfuzz.distance import LCSseq

from rftlab.ranges import Positive
from rftlab.rewards.porter import PorterStemmer

NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]")
STEMMER = PorterStemmer(PorterStemmer.ORIGINAL_ALGORITHM)
SHORTEST_STEMMED = 4  # characters


@dataclass(frozen=True, kw_only=True)
class RougeLMax:
    """Score a response by its best ROUGE-L F (alpha = 0.5) over the references, in [0, 1]; an empty response scores 0.

    Texts are treated as in py-rouge 1.1's Perl-compatible mode (the metric of Razin et al. 2024): only the first
    `word_limit` whitespace-separated words count, lower case, everything but ASCII letters and digits becomes a
    space, and words of at least four characters are cut to their Porter stem (original algorithm: `us` and `used`
    match, `day` and `days` do not). Precision and recall are raised to 1 / `weight` before the F: py-rouge documents
    its `weight_factor` for ROUGE-W, and applies it to ROUGE-L too. With L common words, and n and m words in the texts,
    F = 2 L^(1/weight) / (n^(1/weight) + m^(1/weight)), which at a weight of 1 is the F of ROUGE-L.
    Differences: irregular forms are not looked up in WordNet's exception lists, so that no data files are needed;
    contractions such as `gonna` stay one word; a newline is a space, while py-rouge cuts there and unites the parts.
    """

    word_limit: Positive[int]
    stem: bool
    weight: Positive[float]  # 1.2 in the released configurations of Razin et al. 2024

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response; all rows need at least one reference.

        Raises:
            ValueError: a row has no reference, or the arguments differ in length.
        """
        rows = zip(prompts, responses, targets, strict=True)
        return np.array([self._best(response, references) for _, response, references in rows], dtype=np.float64)

    def _best(self, response: str, references: tuple[str, ...]) -> float:
        if not references:
            raise ValueError("ROUGE-L needs at least one reference per response")
        words = self._words(response)
        return max(_f_score(words, self._words(reference), 1 / self.weight) for reference in references)

    def _words(self, text: str) -> tuple[str, ...]:
        return _normalise(text, self.word_limit, self.stem)


@lru_cache(maxsize=65536)
def _normalise(text: str, word_limit: int, stem: bool) -> tuple[str, ...]:
    kept = " ".join(text.split()[:word_limit]).lower()
    words = NOT_ALPHANUMERIC.sub(" ", kept).split()
    return tuple(_stem(word) for word in words) if stem else tuple(words)


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    return STEMMER.stem(word) if len(word) >= SHORTEST_STEMMED else word


def _f_score(words: tuple[str, ...], reference: tuple[str, ...], power: float) -> float:
    if not words or not reference:
        return 0.0
    common = LCSseq.similarity(words, reference) ** power
    return 2 * common / (len(words) ** power + len(reference) ** power)
