"""The coefficient of the KL penalty: constant, or adapted towards a target."""

from dataclasses import dataclass
from typing import Literal

from rftlab.ranges import NonNegative, Positive

MAX_ERROR = 0.2  # largest relative error that one update answers to (Ziegler et al. 2019, section 2.2)


@dataclass(frozen=True, kw_only=True)
class AdaptiveKL:
    """Proportional controller of beta; beta itself lives in the loop, which passes it in and out.

    `rate` covers both published forms: 0.1 per rollout (RL4LMs), or rows per update / horizon (trlX, APA).
    """

    initial: NonNegative[float]  # beta_0; 0 means no penalty, and stays 0
    target: Positive[float] | None  # nats per `unit`; None keeps beta constant
    unit: Literal["response", "token"]  # what the target is measured in: `policy/kl`, or `policy/kl_token`
    rate: NonNegative[float]  # relative change of beta per unit of clipped error

    def update(self, beta: float, measured_kl: float) -> float:
        """Move beta by beta * rate * clip(KL / target - 1, -0.2, 0.2); call it once per rollout.

        Args:
            beta: Coefficient that the rollout was rewarded with.
            measured_kl: k1 in nats per `unit`: the mean over responses of its sequence sum, or its mean over tokens.
                NaN makes beta NaN.
        """
        if self.target is None:
            return beta
        error = measured_kl / self.target - 1.0
        # This order of max and min lets a NaN through; the other one would report it as 0.2.
        return beta * (1.0 + self.rate * min(max(error, -MAX_ERROR), MAX_ERROR))
