"""Every reward is called through one check, so that a wrong answer of it is one line and no wrong number."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from jaxtyping import Float

from rftlab.errors import UserError
from rftlab.types import Reward

ROUNDING = 1e-6  # by which a score may leave its range


@dataclass(frozen=True, kw_only=True)
class CheckedReward:
    """A reward that gives one finite float per response, in the range that it declares as `score_range`, if any."""

    reward: Reward
    name: str  # as the config names it

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response.

        Raises:
            UserError: the reward gave no array, one of another shape or type, NaN, or a value out of its range.
        """
        scores = self.reward(prompts, responses, targets)
        expected = f"a NumPy array of {len(responses)} floats, one per response"
        if not isinstance(scores, np.ndarray):
            raise UserError(f"{self.name} returned a {type(scores).__name__}", expected, "reward")
        if scores.shape != (len(responses),) or not np.issubdtype(scores.dtype, np.floating):
            found = f"{self.name} returned an array of shape {scores.shape} and type {scores.dtype}"
            raise UserError(found, expected, "reward")
        low, high = getattr(self.reward, "score_range", (-inf, inf))
        wrong = np.flatnonzero(~np.isfinite(scores) | (scores < low - ROUNDING) | (scores > high + ROUNDING))
        if len(wrong):
            found = f"{self.name} gave {scores[wrong[0]]:g} to the response {_short(responses[wrong[0]])}"
            whole = "a finite number" if (low, high) == (-inf, inf) else f"a number from {low:g} to {high:g}"
            raise UserError(found, whole, "reward")
        return scores


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
