"""chrF: F of character n-grams, computed by sacreBLEU."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.chrf import CHRF

from rftlab.ranges import NonNegative, Positive
from rftlab.rewards.references import with_references


@dataclass(frozen=True, kw_only=True)
class Chrf:
    """Score a response by its best chrF (Popović 2015) over the references, divided by 100, in [0, 1].

    Precision and recall of n-grams of 1 to `char_order` characters, and of 1 to `word_order` words (2: chrF++), are
    averaged; recall counts `beta` times as much. sacreBLEU leaves spaces out, so that a text without any scores 1;
    with `whitespace` they are characters like others.
    """

    char_order: Positive[int]
    word_order: NonNegative[int]
    beta: Positive[int]
    whitespace: bool

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response.

        Raises:
            UserError: A row has no reference.
        """
        rows = with_references(prompts, responses, targets)
        return np.array([self._score(response, references) for response, references in rows], dtype=np.float64)

    @cached_property
    def _metric(self) -> CHRF:
        return CHRF(self.char_order, self.word_order, self.beta, whitespace=self.whitespace)

    def _score(self, response: str, references: tuple[str, ...]) -> float:
        return min(self._metric.sentence_score(response, references).score / 100, 1.0) if references else 0.0
