"""Supervised finetuning on gold texts, and on gold labels."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from rftlab.ops import masked_sum
from rftlab.types import Experience, Forward, LabelBatch, LossOutput, Needs, Totals


@dataclass(frozen=True, kw_only=True)
class SFT:
    """Maximum likelihood of the target given the prompt; the prompt itself is never a target."""

    kl: ClassVar[None] = None
    whiten_advantages: ClassVar[Literal["none"]] = "none"
    unit: ClassVar[Literal["row"]] = "row"
    needs: ClassVar[Needs] = Needs(entropy="logged")

    def credit(self, experience: Experience) -> Experience:
        """Nothing: every token of a gold text counts alike."""
        return experience

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        """Negative log-likelihood per target token, in nats; EOS is a target where one was appended."""
        assert new.entropy is not None
        mask, tokens = batch.response_mask, max(totals.tokens, 1)
        nll = -masked_sum(new.logprobs, mask) / tokens
        spread = masked_sum(new.entropy, mask) / tokens
        return LossOutput(loss=nll, metrics={"sft/loss": nll.detach(), "policy/entropy": spread})

    def label_loss(self, batch: LabelBatch) -> Float[Tensor, " n"]:
        """Give the negative log-likelihood of each input's gold labels, averaged over them, in nats."""
        return -batch.logprobs.gather(-1, batch.targets).mean(-1)
