"""The Bradley-Terry model of preferences, which a reward model is trained by."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True, kw_only=True)
class BradleyTerry:
    """P(chosen above rejected) = sigma(r(chosen) - r(rejected)) (Bradley and Terry 1952)."""

    def pair_loss(self, chosen: Float[Tensor, " n"], rejected: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Give -log sigma(r(chosen) - r(rejected)) of each pair, in nats; what both scores share has no part."""
        return -logsigmoid(chosen - rejected)
