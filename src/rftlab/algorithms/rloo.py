"""REINFORCE leave-one-out: the other responses to a prompt are the baseline of each."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from rftlab.algorithms.credit import credit_by_group, needs_of_penalty
from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.ops import masked_sum
from rftlab.ranges import NonNegative
from rftlab.types import Experience, Forward, LossOutput, Needs, Totals


@dataclass(frozen=True, kw_only=True)
class RLOO:
    """Weigh the log-probability of a whole response with its reward less the mean of the others (Ahmadian et al. 2024).

    The response is one action: its reward holds the KL penalty of all its tokens, and all of them share its advantage.
    """

    entropy_coef: NonNegative[float]
    whiten_advantages: Literal["rollout", "minibatch", "none"]
    kl: AdaptiveKL

    unit: ClassVar[Literal["group"]] = "group"

    @property
    def needs(self) -> Needs:
        """Reference and old policy for the KL penalty alone."""
        return needs_of_penalty(self.kl, self.entropy_coef)

    def credit(self, experience: Experience) -> Experience:
        """A_i = R_i - mean of R_j over the other responses j to the prompt (Ahmadian et al. 2024, RLOO)."""
        return credit_by_group(experience, baseline="others", scale="none")

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        """Minus A_i log pi(y_i), a mean over responses, minus the entropy bonus, a mean over tokens."""
        mask = batch.response_mask
        policy_loss = -masked_sum(batch["advantages"].where(mask, 0.0) * new.logprobs, mask) / max(totals.rows, 1)
        metrics = {"policy/loss": policy_loss.detach()}
        if new.entropy is None:
            return LossOutput(loss=policy_loss, metrics=metrics)
        entropy = masked_sum(new.entropy, mask) / max(totals.tokens, 1)
        metrics["policy/entropy"] = entropy.detach()
        return LossOutput(loss=policy_loss - self.entropy_coef * entropy, metrics=metrics)
