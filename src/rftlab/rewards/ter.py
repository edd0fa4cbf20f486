"""Translation edit rate as a reward, computed by sacreBLEU: more is better."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from sacrebleu.metrics.ter import TER

from rftlab.rewards.references import with_references


@dataclass(frozen=True, kw_only=True)
class Ter:
    """Score 1 - min(TER, 1) against the nearest reference, in [0, 1].

    TER (Snover et al. 2006) is the least number of insertions, deletions, substitutions and shifts that make the
    response the reference, over the words of that reference. It has no upper end (7 words against 1: 6), so it is
    cut at 1, where writing nothing is. Each reference is compared by itself: sacreBLEU divides by the mean length of
    all, and an unrelated long one would make every response better.
    """

    case_sensitive: bool
    normalized: bool

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response.

        Raises:
            UserError: A row has no reference.
        """
        rows = with_references(prompts, responses, targets)
        rates = [min((self._rate(text, gold) for gold in references), default=1.0) for text, references in rows]
        return 1.0 - np.minimum(np.array(rates, dtype=np.float64), 1.0)

    @cached_property
    def _metric(self) -> TER:
        return TER(normalized=self.normalized, case_sensitive=self.case_sensitive)

    def _rate(self, response: str, reference: str) -> float:
        return self._metric.sentence_score(response, [reference]).score / 100
