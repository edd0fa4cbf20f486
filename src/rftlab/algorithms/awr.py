"""Advantage-weighted regression."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from rftlab.algorithms.credit import credit_by_values
from rftlab.ops import MAX_LOG_RATIO, masked_max, masked_sum, squared_value_loss
from rftlab.ranges import NonNegative, Positive, UnitInterval
from rftlab.types import Experience, Forward, LossOutput, Needs, Totals


@dataclass(frozen=True, kw_only=True)
class AWR:
    """AWR (Peng et al. 2019), on tokens as in Zhu et al. 2023: log-likelihood weighted with exp(A / lambda).

    The population loss is minimal at pi proportional to pi_old exp(A / lambda): each rollout tilts the policy that it
    came from, and nothing holds it near its start.
    """

    lam: Positive[
        float
    ]  # lambda; in units of the advantages, hence of whitened ones unless whiten_advantages is "none"
    weight_clip: Positive[float] | None  # the largest weight; None = no clipping but against overflow
    value_coef: NonNegative[float]  # eta
    entropy_coef: NonNegative[float]
    gamma: UnitInterval[float]
    gae_lambda: UnitInterval[float]
    whiten_advantages: Literal["rollout", "minibatch", "none"]

    kl: ClassVar[None] = None
    unit: ClassVar[Literal["row"]] = "row"

    @property
    def needs(self) -> Needs:
        """Values for the advantages; neither a reference nor the policy that sampled."""
        return Needs(value=True, entropy="trained" if self.entropy_coef else "logged")

    def credit(self, experience: Experience) -> Experience:
        """Advantages by GAE, and returns."""
        return credit_by_values(experience, self.gamma, self.gae_lambda)

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        """-log pi exp(A / lambda) + eta * value loss - entropy bonus, each a mean over tokens."""
        assert new.values is not None and new.entropy is not None
        mask, tokens = batch.response_mask, max(totals.tokens, 1)
        goal = (batch["advantages"] / self.lam).where(mask, 0.0)
        weights = self.weights(goal).where(mask, 0.0)
        value = squared_value_loss(new.values, batch["returns"], mask)
        policy_loss = -masked_sum(weights * new.logprobs, mask) / tokens
        value_loss, entropy = masked_sum(value, mask) / tokens, masked_sum(new.entropy, mask) / tokens
        loss = policy_loss + self.value_coef * value_loss - self.entropy_coef * entropy
        return LossOutput(
            loss=loss,
            metrics={
                "policy/loss": policy_loss.detach(),
                "policy/entropy": entropy.detach(),
                "policy/weight": masked_sum(weights, mask) / tokens,
                "value/loss": value_loss.detach(),
            },
            maxima={
                "policy/weight_max": masked_max(weights, mask),
                "policy/advantage_over_lambda_max": masked_max(goal.abs(), mask),
            },
            squares={"policy/weight": masked_sum(weights.square(), mask) / tokens},
        )

    def weights(self, goal: Float[Tensor, "n t"]) -> Float[Tensor, "n t"]:
        """exp(A / lambda), at most `weight_clip`; the exponent is cut from above, so that no weight overflows."""
        weights = goal.clamp(max=MAX_LOG_RATIO).exp()
        return weights if self.weight_clip is None else weights.clamp(max=self.weight_clip)
