"""Group relative policy optimisation, and what was made of its averages, its scale and its ratio since."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rftlab.algorithms.credit import credit_by_group
from rftlab.ops import MAX_LOG_RATIO, kl_k3, masked_sum, row_sum
from rftlab.ranges import NonNegative, Positive
from rftlab.types import EntropyMode, Experience, Forward, LossOutput, Needs, Totals


@dataclass(frozen=True, kw_only=True)
class GRPO:
    """Clip the ratio as PPO does, with the group of a prompt in place of a value function (Shao et al. 2024).

    `average`: `row` is the mean over responses of their means over tokens (Shao et al. 2024), `token` the mean
    over all tokens of the optimiser step (DAPO, Yu et al. 2025), `constant` the sum over tokens divided by responses
    times `constant_length` (Dr. GRPO, Liu et al. 2025). `ratio`: of each token, or the geometric mean over the
    response, the same for all its tokens (GSPO, Zheng et al. 2025).
    """

    clip_low: Positive[float]  # epsilon below 1
    clip_high: Positive[float]  # epsilon above 1; larger than the other in DAPO
    scale: Literal["std", "none"]  # std: divide by that of the group | none (Dr. GRPO)
    average: Literal["row", "token", "constant"]
    constant_length: Positive[int] | None  # tokens; `constant` wants it, and nothing else reads it
    ratio: Literal["token", "sequence"]
    kl_coef: NonNegative[float]  # beta of k3 to the reference, in the loss
    entropy_coef: NonNegative[float]
    whiten_advantages: Literal["rollout", "minibatch", "none"]

    unit: ClassVar[Literal["group"]] = "group"
    kl: ClassVar[None] = None

    @property
    def needs(self) -> Needs:
        """Old policy for the ratio, the reference for the penalty in the loss."""
        entropy: EntropyMode = "trained" if self.entropy_coef else "logged"
        return Needs(reference=self.kl_coef > 0, old_logprobs=True, entropy=entropy)

    def credit(self, experience: Experience) -> Experience:
        """A_i = (R_i - mean of the group) / std of the group, or without the division; 0 in a group without spread."""
        return credit_by_group(experience, baseline="mean", scale=self.scale)

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        """Clipped surrogate + beta k3 - entropy bonus, averaged as `average` says; the bonus over tokens."""
        assert new.entropy is not None
        mask, tokens = batch.response_mask, max(totals.tokens, 1)
        weights = self._weights(batch, totals)
        surrogate, clipped = self._surrogate(new.logprobs, batch)
        loss = policy_loss = masked_sum(surrogate * weights, mask)
        entropy = masked_sum(new.entropy, mask) / tokens
        metrics = {
            "policy/loss": policy_loss.detach(),
            "policy/clip_frac": masked_sum(clipped.float(), mask) / tokens,
            "policy/approx_kl_old": masked_sum(kl_k3(batch["old_logprobs"], new.logprobs.detach()), mask) / tokens,
            "policy/entropy": entropy.detach(),
        }
        if self.kl_coef:
            now, start = (torch.where(mask, x, 0.0) for x in (new.logprobs, batch["ref_logprobs"]))
            apart = masked_sum(kl_k3(now, start) * weights, mask)
            metrics["policy/kl_loss"] = apart.detach()
            loss = loss + self.kl_coef * apart
        return LossOutput(loss=loss - self.entropy_coef * entropy, metrics=metrics)

    def _weights(self, batch: Experience, totals: Totals) -> Float[Tensor, "n 1"]:
        """Give the weight of each token of a response in the average over the optimiser step."""
        lengths = batch.response_mask.sum(1, keepdim=True)
        match self.average:
            case "row":
                return 1.0 / (lengths.clamp(min=1) * max(totals.rows, 1))
            case "token":
                return torch.ones_like(lengths) / max(totals.tokens, 1)
            case "constant":
                assert self.constant_length is not None  # see config.checks
                return torch.ones_like(lengths) / (max(totals.rows, 1) * self.constant_length)

    def _surrogate(self, logprobs: Float[Tensor, "n t"], batch: Experience) -> tuple[Tensor, Tensor]:
        """Give max(-A rho, -A clip(rho, 1 - low, 1 + high)) of each token, and where clipping rules."""
        mask = batch.response_mask
        log_ratio = torch.where(mask, logprobs - batch["old_logprobs"], 0.0)
        if self.ratio == "sequence":
            lengths = mask.sum(1, keepdim=True).clamp(min=1)
            log_ratio = torch.where(mask, row_sum(log_ratio, mask).unsqueeze(1) / lengths, 0.0)
        rho = log_ratio.clamp(max=MAX_LOG_RATIO).exp()
        advantages = torch.where(mask, batch["advantages"], 0.0)
        unclipped = -advantages * rho
        clipped = -advantages * rho.clamp(1.0 - self.clip_low, 1.0 + self.clip_high)
        return torch.maximum(unclipped, clipped), clipped > unclipped
