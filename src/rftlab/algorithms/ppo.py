"""Proximal policy optimisation, with a KL penalty in the reward or in the loss."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rftlab.algorithms.credit import credit_by_values, needs_of_values
from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.ops import clipped_surrogate, clipped_value_loss, kl_k3, masked_sum, squared_value_loss
from rftlab.ranges import NonNegative, Positive, UnitInterval
from rftlab.types import Experience, Forward, LossOutput, Needs, Totals


@dataclass(frozen=True, kw_only=True)
class PPO:
    """PPO (Schulman et al. 2017) as used on language models (Ziegler et al. 2019)."""

    # epsilon: no gradient once the ratio has left [1 - eps, 1 + eps] in the direction of A; None = no clipping, so that
    # a KL penalty alone keeps the policy near
    clip_range: Positive[float] | None
    value_clip_range: Positive[float] | None  # epsilon_v, in units of the scaled score; None = plain squared error
    value_coef: NonNegative[float]  # eta
    entropy_coef: NonNegative[float]
    entropy: Literal["exact", "sampled"]  # sum over the vocabulary | -log pi of the token (Razin et al. 2024, code)
    kl_coef: NonNegative[float]  # weight of k3 to the reference in the loss, beside the penalty in the reward
    gamma: UnitInterval[float]
    gae_lambda: UnitInterval[float]
    whiten_advantages: Literal["rollout", "minibatch", "none"]
    kl: AdaptiveKL

    unit: ClassVar[Literal["row"]] = "row"

    @property
    def needs(self) -> Needs:
        """Reference and old policy for ratio and KL, values for the advantages, the entropy for its bonus."""
        return needs_of_values(self.entropy_coef if self.entropy == "exact" else 0.0)

    def credit(self, experience: Experience) -> Experience:
        """Advantages by GAE, and returns."""
        return credit_by_values(experience, self.gamma, self.gae_lambda)

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        """Clipped surrogate + eta * value loss + kl_coef * k3 - entropy bonus, each a mean over the step's tokens."""
        assert new.values is not None and new.entropy is not None
        mask, tokens = batch.response_mask, max(totals.tokens, 1)
        old = batch["old_logprobs"]
        policy, clipped = clipped_surrogate(new.logprobs, old, batch["advantages"], mask, self.clip_range)
        value, value_clipped = self._value_loss(new.values, batch)
        policy_loss, value_loss, entropy = (masked_sum(x, mask) / tokens for x in (policy, value, new.entropy))
        bonus = entropy if self.entropy == "exact" else -masked_sum(new.logprobs, mask) / tokens
        loss = policy_loss + self.value_coef * value_loss - self.entropy_coef * bonus
        metrics = {
            "policy/loss": policy_loss.detach(),
            "policy/clip_frac": masked_sum(clipped.float(), mask) / tokens,
            "policy/approx_kl_old": masked_sum(kl_k3(old, new.logprobs.detach()), mask) / tokens,
            "policy/entropy": entropy.detach(),
            "value/loss": value_loss.detach(),
            "value/clip_frac": masked_sum(value_clipped.float(), mask) / tokens,
        }
        if self.kl_coef:
            now, start = (torch.where(mask, x, 0.0) for x in (new.logprobs, batch["ref_logprobs"]))
            apart = masked_sum(kl_k3(now, start), mask) / tokens
            metrics["policy/kl_loss"] = apart.detach()
            loss = loss + self.kl_coef * apart
        return LossOutput(loss=loss, metrics=metrics)

    def _value_loss(
        self, values: Float[Tensor, "n t"], batch: Experience
    ) -> tuple[Float[Tensor, "n t"], Bool[Tensor, "n t"]]:
        """Give the value loss of each token, and where clipping rules."""
        mask, returns = batch.response_mask, batch["returns"]
        if self.value_clip_range is None:
            return squared_value_loss(values, returns, mask), mask.new_zeros(mask.shape)
        return clipped_value_loss(values, batch["values"], returns, mask, self.value_clip_range)
