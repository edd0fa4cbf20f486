"""BLEU of each response by itself, computed by sacreBLEU."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.bleu import BLEU

from rftlab.rewards.references import with_references


@dataclass(frozen=True, kw_only=True)
class Bleu:
    """Score a response by sacreBLEU against all its references, divided by 100, in [0, 1].

    It is corpus BLEU of one response: precisions of 1- to 4-grams, smoothed exponentially, times the brevity penalty
    of the reference that is nearest in length. Without `effective_order` a response of fewer than four tokens scores 0,
    also one that equals its reference; with it, orders that the response is too short for do not count.
    """

    tokenize: Literal["13a", "intl"]
    effective_order: bool

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
    def _metric(self) -> BLEU:
        return BLEU(tokenize=self.tokenize, effective_order=self.effective_order)

    def _score(self, response: str, references: tuple[str, ...]) -> float:
        if not references:
            return 0.0
        columns = [[reference] for reference in references]  # sacreBLEU's order: a list of texts per reference
        return min(self._metric.corpus_score([response], columns).score / 100, 1.0)
