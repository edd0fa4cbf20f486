"""Direct preference optimisation (Rafailov et al. 2023), its conservative form, and IPO (Azar et al. 2023)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from rftlab.ops import by_pair, row_sum
from rftlab.ranges import BelowHalf, Positive
from rftlab.types import Experience, Forward, LossOutput, Needs, Totals


@dataclass(frozen=True, kw_only=True)
class DPO:
    """Raise the implicit reward beta log(pi / pi_ref) of the chosen response above that of the rejected one.

    Log-probabilities are sums over the tokens of a response. The reference is the policy at the start of the run.
    """

    beta: Positive[float]
    objective: Literal["sigmoid", "ipo"]
    label_smoothing: BelowHalf[float]

    kl: ClassVar[None] = None
    whiten_advantages: ClassVar[Literal["none"]] = "none"
    unit: ClassVar[Literal["pair"]] = "pair"
    needs: ClassVar[Needs] = Needs(reference=True)

    def credit(self, experience: Experience) -> Experience:
        """Nothing: which response was chosen is the order of the rows."""
        return experience

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        """Mean over the pairs of the optimiser step (Rafailov et al. 2023, eq. 7; Azar et al. 2023, eq. 17)."""
        mask, pairs = batch.response_mask, max(totals.units, 1)
        logprobs = row_sum(new.logprobs, mask)
        chosen, rejected = by_pair(logprobs - row_sum(batch["ref_logprobs"], mask))  # log pi / pi_ref
        loss = self.pair_loss(chosen - rejected).sum() / pairs
        of_chosen, of_rejected = by_pair(logprobs.detach())
        rewards = [self.beta * log_ratio.detach() for log_ratio in (chosen, rejected)]
        margin = rewards[0] - rewards[1]
        told = {
            "accuracy": (margin.sign() + 1) / 2,  # a tie counts half
            "margin": margin,
            "chosen_reward": rewards[0],
            "rejected_reward": rewards[1],
            "chosen_logprob": of_chosen,
            "rejected_logprob": of_rejected,
        }
        metrics = {f"dpo/{name}": value.sum() / pairs for name, value in told.items()}
        return LossOutput(loss=loss, metrics={"dpo/loss": loss.detach()} | metrics)

    def pair_loss(self, log_ratio: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Compute the loss of each pair from h = log pi / pi_ref of the chosen minus that of the rejected response.

        sigmoid: -(1 - e) log sigma(beta h) - e log sigma(-beta h), with e = `label_smoothing` the probability that a
        label is wrong. ipo: (h - 1 / (2 beta))^2.
        """
        if self.objective == "ipo":
            return torch.square(log_ratio - 1 / (2 * self.beta))
        margin = self.beta * log_ratio
        return -(1 - self.label_smoothing) * logsigmoid(margin) - self.label_smoothing * logsigmoid(-margin)
