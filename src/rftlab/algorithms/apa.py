"""Advantage-induced policy alignment."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from rftlab.ops import gae, kl_k3, masked_sum, score_at_last_token, squared_value_loss, whiten
from rftlab.ranges import NonNegative, Positive, UnitInterval
from rftlab.types import Batch, Forward, LossOutput, Rollout


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

    needs_value: ClassVar[bool] = True

    @property
    def initial_kl_coef(self) -> float:
        """0: the reward holds no KL penalty."""
        return 0.0

    def update_kl_coef(self, kl_coef: float, measured_kl: float) -> float:
        """0, whatever was measured."""
        return 0.0

    def rewards(self, rollout: Rollout, kl_coef: float) -> Float[Tensor, "n t"]:
        """r_t = score at the last token; `kl_coef` has no say."""
        return score_at_last_token(rollout.scores, rollout.response_mask)

    def advantages(
        self, rewards: Float[Tensor, "n t"], rollout: Rollout
    ) -> tuple[Float[Tensor, "n t"], Float[Tensor, "n t"]]:
        """Advantages for the policy loss, whitened over the rollout if asked, and returns from the raw ones."""
        mask = rollout.response_mask
        raw = gae(rewards, rollout.values, mask, self.gamma, self.gae_lambda)
        returns = (raw + rollout.values).where(mask, 0.0)
        return whiten(raw, mask) if self.whiten_advantages == "rollout" else raw, returns

    def prepare(self, minibatch: Batch) -> Batch:
        """Whiten over the minibatch if asked; call it once per optimiser step, before the split into microbatches."""
        if self.whiten_advantages != "minibatch":
            return minibatch
        return replace(minibatch, advantages=whiten(minibatch.advantages, minibatch.response_mask))

    def loss(self, new: Forward, batch: Batch, denominator: int) -> LossOutput:
        """(log pi - log pi_init - A / lambda)^2 + eta * value loss - entropy bonus, each a token mean.

        The ratio is against the frozen start, not the policy that sampled; nothing is clipped.

        Args:
            new: What policy and value network say of the batch now.
            batch: A microbatch of the optimiser step.
            denominator: Response tokens of the whole optimiser step, all its microbatches together; losses and metrics
                of the microbatches add up to those of the step.
        """
        assert new.values is not None, "APA needs a value network"
        mask, tokens = batch.response_mask, max(denominator, 1)
        log_ratio = (new.logprobs - batch.ref_logprobs).where(mask, 0.0)
        goal = (batch.advantages / self.lam).where(mask, 0.0)
        policy = (log_ratio - goal).square()
        value = squared_value_loss(new.values, batch.returns, mask)
        policy_loss, value_loss, entropy = (masked_sum(x, mask) / tokens for x in (policy, value, new.entropy))
        loss = policy_loss + self.value_coef * value_loss - self.entropy_coef * entropy
        metrics = {
            "policy/loss": policy_loss.detach(),
            "policy/log_ratio_abs": masked_sum(log_ratio.detach().abs(), mask) / tokens,
            "policy/log_ratio_target_abs": masked_sum(goal.abs(), mask) / tokens,
            "policy/approx_kl_old": masked_sum(kl_k3(batch.old_logprobs, new.logprobs.detach()), mask) / tokens,
            "policy/entropy": entropy.detach(),
            "value/loss": value_loss.detach(),
        }
        return LossOutput(loss=loss, metrics=metrics)
