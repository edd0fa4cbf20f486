"""REINFORCE (Williams 1992): on texts, and with one sampled label per input."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rftlab.algorithms.credit import credit_by_reward_to_go, needs_of_penalty
from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.ops import masked_sum
from rftlab.ranges import NonNegative, UnitInterval
from rftlab.types import Experience, Forward, LabelBatch, LossOutput, Needs, Totals


@dataclass(frozen=True, kw_only=True)
class TextReinforce:
    """Weigh the log-probability of each sampled token with the reward that follows it; there is no value function.

    Whitening over the rollout subtracts the mean reward to go, which is the only baseline.
    """

    gamma: UnitInterval[float]
    entropy_coef: NonNegative[float]
    whiten_advantages: Literal["rollout", "minibatch", "none"]
    kl: AdaptiveKL

    unit: ClassVar[Literal["row"]] = "row"

    @property
    def needs(self) -> Needs:
        """Reference and old policy for the KL penalty alone."""
        return needs_of_penalty(self.kl, self.entropy_coef)

    def credit(self, experience: Experience) -> Experience:
        """A_t = sum over s >= t of gamma^(s - t) r_s."""
        return credit_by_reward_to_go(experience, self.gamma)

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        """Minus A_t log pi_t minus the entropy bonus, each a mean over the tokens of the optimiser step."""
        mask, tokens = batch.response_mask, max(totals.tokens, 1)
        policy_loss = -masked_sum(batch["advantages"].where(mask, 0.0) * new.logprobs, mask) / tokens
        metrics = {"policy/loss": policy_loss.detach()}
        if new.entropy is None:
            return LossOutput(loss=policy_loss, metrics=metrics)
        entropy = masked_sum(new.entropy, mask) / tokens
        metrics["policy/entropy"] = entropy.detach()
        return LossOutput(loss=policy_loss - self.entropy_coef * entropy, metrics=metrics)


@dataclass(frozen=True, kw_only=True)
class Reinforce:
    """Sample a label and weigh its log-probability with its reward; no baseline (Razin et al. 2024, released code)."""

    def label_loss(self, batch: LabelBatch) -> Float[Tensor, " n"]:
        """Give minus reward times log-probability of the label that `batch.noise` picks from each distribution.

        The value has no meaning of its own; its gradient estimates that of minus the expected reward without bias.
        """
        cumulative = batch.logprobs.detach().exp().cumsum(-1)
        picked = torch.searchsorted(cumulative, (batch.noise * cumulative[:, -1]).unsqueeze(-1), right=True)
        picked = picked.clamp_max(batch.logprobs.shape[-1] - 1)
        return -(batch.rewards.gather(-1, picked) * batch.logprobs.gather(-1, picked)).squeeze(-1)
