"""Advantage-induced policy alignment."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from rftlab.algorithms.credit import credit_by_values, needs_of_values
from rftlab.ops import kl_k3, masked_max, masked_sum, squared_value_loss
from rftlab.ranges import NonNegative, Positive, UnitInterval
from rftlab.types import Experience, Forward, LossOutput, Needs, Totals


@dataclass(frozen=True, kw_only=True)
class APA:
    """APA (Zhu et al. 2023): regress log pi / pi_init of the sampled tokens on A / lambda.

    The population loss is minimal at pi proportional to pi_init exp(A / lambda), so lambda, not a penalty in the
    reward, keeps the policy near its start.
    """

    lam: Positive[
        float
    ]  # lambda; in units of the advantages, hence of whitened ones unless whiten_advantages is "none"
    value_coef: NonNegative[float]  # eta
    entropy_coef: NonNegative[float]
    gamma: UnitInterval[float]
    gae_lambda: UnitInterval[float]
    whiten_advantages: Literal["rollout", "minibatch", "none"]

    kl: ClassVar[None] = None
    unit: ClassVar[Literal["row"]] = "row"

    @property
    def needs(self) -> Needs:
        """Reference for the ratio, values for the advantages, the old policy to see how far an update went."""
        return needs_of_values(self.entropy_coef)

    def credit(self, experience: Experience) -> Experience:
        """Advantages by GAE, and returns."""
        return credit_by_values(experience, self.gamma, self.gae_lambda)

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        """(log pi - log pi_init - A / lambda)^2 + eta * value loss - entropy bonus, each a mean over tokens.

        The ratio is against the frozen start, not the policy that sampled; nothing is clipped.
        """
        assert new.values is not None and new.entropy is not None
        mask, tokens = batch.response_mask, max(totals.tokens, 1)
        log_ratio = (new.logprobs - batch["ref_logprobs"]).where(mask, 0.0)
        goal = (batch["advantages"] / self.lam).where(mask, 0.0)
        policy = (log_ratio - goal).square()
        value = squared_value_loss(new.values, batch["returns"], mask)
        policy_loss, value_loss, entropy = (masked_sum(x, mask) / tokens for x in (policy, value, new.entropy))
        loss = policy_loss + self.value_coef * value_loss - self.entropy_coef * entropy
        metrics = {
            "policy/loss": policy_loss.detach(),
            "policy/log_ratio_abs": masked_sum(log_ratio.detach().abs(), mask) / tokens,
            "policy/log_ratio_target_abs": masked_sum(goal.abs(), mask) / tokens,
            "policy/approx_kl_old": masked_sum(kl_k3(batch["old_logprobs"], new.logprobs.detach()), mask) / tokens,
            "policy/entropy": entropy.detach(),
            "value/loss": value_loss.detach(),
        }
        maxima = {"policy/advantage_over_lambda_max": masked_max(goal.abs(), mask)}
        return LossOutput(loss=loss, metrics=metrics, maxima=maxima)
