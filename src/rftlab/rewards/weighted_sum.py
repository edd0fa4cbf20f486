"""A weighted sum of rewards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rftlab.errors import UserError
from rftlab.types import Reward

INFINITE = (-np.inf, np.inf)


@dataclass(frozen=True, kw_only=True)
class WeightedSum:
    """Score the sum over names of weight times reward; the weights need not sum to 1.

    A term of weight 0 is not computed. Where every term declares its range, so does the sum.
    """

    terms: Mapping[str, Reward]
    weights: Mapping[str, float]  # of the same names; below 0, less is better

    def __post_init__(self) -> None:
        if set(self.terms) != set(self.weights):
            found = f"weights of {', '.join(self.weights)} for the terms {', '.join(self.terms)}"
            raise UserError(found, "one weight per term", "reward.weights or reward.terms")

    @property
    def score_range(self) -> tuple[float, float]:
        """Interval of the sum."""
        ends = [
            sorted(weight * end for end in getattr(self.terms[name], "score_range", INFINITE))
            for name, weight in self.weights.items()
            if weight
        ]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response."""
        total = np.zeros(len(responses))
        for name, weight in self.weights.items():
            if weight:
                total += weight * self.terms[name](prompts, responses, targets)
        return total
