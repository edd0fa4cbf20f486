"""REINFORCE with one sampled label per input (Williams 1992)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rftlab.types import LabelBatch


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
