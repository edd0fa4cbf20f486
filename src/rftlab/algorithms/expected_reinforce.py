"""REINFORCE with the exact gradient: the expected reward is a sum over all labels."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from rftlab.types import LabelBatch


@dataclass(frozen=True, kw_only=True)
class ExpectedReinforce:
    """Maximise V(x) = sum over labels of p(y | x) r(x, y) (Razin et al. 2024, section 4.2)."""

    def label_loss(self, batch: LabelBatch) -> Float[Tensor, " n"]:
        """Give minus the expected reward of each input, in units of the reward."""
        return -(batch.logprobs.exp() * batch.rewards).sum(-1)
