"""Proximal policy optimisation with a KL penalty in the reward."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.ops import (
    clipped_surrogate,
    clipped_value_loss,
    gae,
    kl_k1,
    kl_k3,
    masked_sum,
    squared_value_loss,
    token_rewards,
    whiten,
)
from rftlab.ranges import NonNegative, Positive, UnitInterval
from rftlab.types import Batch, Forward, LossOutput, Rollout


@dataclass(frozen=True, kw_only=True)
class PPO:
    """PPO (Schulman et al. 2017) as used on language models (Ziegler et al. 2019)."""

    clip_range: Positive[float]  # epsilon: no gradient once the ratio has left [1 - eps, 1 + eps] in the direction of A
    value_clip_range: Positive[float] | None  # epsilon_v, in units of the scaled score; None = plain squared error
    value_coef: NonNegative[float]  # eta
    entropy_coef: NonNegative[float]
    gamma: UnitInterval[float]
    gae_lambda: UnitInterval[float]
    whiten_advantages: Literal["rollout", "minibatch", "none"]
    kl: AdaptiveKL

    needs_value: ClassVar[bool] = True

    @property
    def initial_kl_coef(self) -> float:
        """beta of the first rollout."""
        return self.kl.initial

    def update_kl_coef(self, kl_coef: float, measured_kl: float) -> float:
        """beta of the next rollout, given the sequence-sum KL to the reference of this one."""
        return self.kl.update(kl_coef, measured_kl)

    def rewards(self, rollout: Rollout, kl_coef: float) -> Float[Tensor, "n t"]:
        """r_t = score at the last token - beta (log pi_old - log pi_ref)_t, of the sampled tokens only."""
        kl = kl_k1(rollout.old_logprobs, rollout.ref_logprobs)
        return token_rewards(rollout.scores, kl, rollout.response_mask, kl_coef)

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
        """Clipped surrogate + eta * value loss - entropy bonus, each a token mean.

        Args:
            new: What policy and value network say of the batch now.
            batch: A microbatch of the optimiser step.
            denominator: Response tokens of the whole optimiser step, all its microbatches together; losses and metrics
                of the microbatches add up to those of the step.
        """
        assert new.values is not None, "PPO needs a value network"
        mask, tokens = batch.response_mask, max(denominator, 1)
        policy, clipped = clipped_surrogate(new.logprobs, batch.old_logprobs, batch.advantages, mask, self.clip_range)
        if self.value_clip_range is None:
            value, value_clipped = squared_value_loss(new.values, batch.returns, mask), mask.new_zeros(mask.shape)
        else:
            value, value_clipped = clipped_value_loss(
                new.values, batch.old_values, batch.returns, mask, self.value_clip_range
            )
        policy_loss, value_loss, entropy = (masked_sum(x, mask) / tokens for x in (policy, value, new.entropy))
        loss = policy_loss + self.value_coef * value_loss - self.entropy_coef * entropy
        metrics = {
            "policy/loss": policy_loss.detach(),
            "policy/clip_frac": masked_sum(clipped.float(), mask) / tokens,
            "policy/approx_kl_old": masked_sum(kl_k3(batch.old_logprobs, new.logprobs.detach()), mask) / tokens,
            "policy/entropy": entropy.detach(),
            "value/loss": value_loss.detach(),
            "value/clip_frac": masked_sum(value_clipped.float(), mask) / tokens,
        }
        return LossOutput(loss=loss, metrics=metrics)
