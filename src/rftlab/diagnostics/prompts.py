"""Reward mean and standard deviation per prompt under a policy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True)
class PromptStatistics:
    """Mean and population standard deviation of the reward of each prompt under a policy, in units of the reward.

    The population form (division by G) is the plug-in estimate of STD(x; theta) in Razin et al. 2024, section 3; the
    paper does not say which form its figures use.
    """

    mean: Float[np.ndarray, " b"]
    std: Float[np.ndarray, " b"]

    @staticmethod
    def concatenate(parts: Sequence["PromptStatistics"]) -> "PromptStatistics":
        """Join the statistics of several batches of prompts."""
        return PromptStatistics(
            mean=np.concatenate([p.mean for p in parts]), std=np.concatenate([p.std for p in parts])
        )

    def summary(self, std_below: float, low_reward: float | None) -> dict[str, float]:
        """Summarise over prompts: means, the share with a std below `std_below`, and the share with a low mean too."""
        vanishing = self.std < std_below
        summary = {
            "reward_mean": float(self.mean.mean()),
            "reward_std": float(self.std.mean()),
            "share_vanishing": float(vanishing.mean()),
        }
        if low_reward is not None:
            summary["share_vanishing_low"] = float((vanishing & (self.mean < low_reward)).mean())
        return summary


def prompt_statistics(scores: Float[np.ndarray, "b g"]) -> PromptStatistics:
    """Compute the statistics of B prompts from G scores each.

    Scores are measured from the first one of their prompt, so that equal scores have exactly their mean and a std of 0,
    where a rounded mean would leave about 1e-17 of it.
    """
    first = scores[:, :1]
    shifted = scores - first
    return PromptStatistics(mean=first[:, 0] + shifted.mean(axis=1), std=shifted.std(axis=1))
