"""Penalties of long and of repetitive responses, in [-1, 0]: terms of a weighted sum."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from rftlab.errors import UserError
from rftlab.ranges import NonNegative, Positive
from rftlab.rewards.diversity import n_grams


@dataclass(frozen=True, kw_only=True)
class LengthPenalty:
    """Score 0 up to `free` words, -1 from `most` words on, and a straight line between (as DAPO's for overlong texts).

    Words are separated by white space. Yu et al. 2025 (DAPO, equation 13) count tokens, of which a reward knows none.
    """

    free: NonNegative[int]
    most: Positive[int]

    score_range: ClassVar[tuple[float, float]] = (-1.0, 0.0)

    def __post_init__(self) -> None:
        if self.free >= self.most:
            raise UserError(f"reward.free={self.free}, reward.most={self.most}", "free below most", "reward.free")

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response."""
        words = np.array([len(response.split()) for response in responses], dtype=np.float64)
        return 0.0 - np.clip((words - self.free) / (self.most - self.free), 0.0, 1.0)  # no -0


@dataclass(frozen=True, kw_only=True)
class RepetitionPenalty:
    """Score minus the share of a response's n-grams that stood in it before: 0 without repetition, in (-1, 0].

    Words are those of ROUGE, in lower case and of every script. A response of fewer than n + 1 words repeats nothing.
    """

    n: Positive[int]

    score_range: ClassVar[tuple[float, float]] = (-1.0, 0.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response."""
        return 0.0 - np.array([_repeated(response, self.n) for response in responses], dtype=np.float64)


def _repeated(text: str, n: int) -> float:
    grams = n_grams(text, n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
