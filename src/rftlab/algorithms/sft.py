"""Supervised finetuning on gold texts, and on gold labels."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from rftlab.ops import masked_sum
from rftlab.types import Forward, LabelBatch, LossOutput


@dataclass(frozen=True, kw_only=True)
class SFT:
    """Maximum likelihood of the target given the prompt; the prompt itself is never a target."""

    def loss(self, new: Forward, mask: Bool[Tensor, "n t"], denominator: int) -> LossOutput:
        """Negative log-likelihood per target token, in nats.

        Args:
            new: What the policy says of the target tokens.
            mask: True on target tokens, EOS included where one was appended.
            denominator: Target tokens of the whole optimiser step, all its microbatches together; losses and metrics
                of the microbatches add up to those of the step.
        """
        tokens = max(denominator, 1)
        nll = -masked_sum(new.logprobs, mask) / tokens
        spread = masked_sum(new.entropy.detach(), mask) / tokens
        return LossOutput(loss=nll, metrics={"sft/loss": nll.detach(), "policy/entropy": spread})

    def label_loss(self, batch: LabelBatch) -> Float[Tensor, " n"]:
        """Give the negative log-likelihood of each input's gold labels, averaged over them, in nats."""
        return -batch.logprobs.gather(-1, batch.targets).mean(-1)
