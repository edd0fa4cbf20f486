"""A second network that says which tokens a policy may choose: of given responses, and while it samples."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.models.policy import Allowed, Policy
from rftlab.ops import nucleus
from rftlab.types import Nucleus


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A network that reads what the policy reads, and the tokens that it finds likely at this temperature."""

    network: Policy
    keeps: Nucleus
    temperature: float

    def tokens(self, logits: Float[Tensor, "m v"]) -> Bool[Tensor, "m v"]:
        """Say which tokens may follow, from logits of this network; EOS always may, so that a response can end."""
        allowed = nucleus(logits / self.temperature, self.keeps.top_p, self.keeps.min_tokens)
        allowed[:, self.network.eos_id] = True
        return allowed

    @torch.no_grad()
    def read(
        self,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        response_ids: Int[Tensor, "n t"],
        response_mask: Bool[Tensor, "n t"],
        prompt_index: Int[Tensor, " n"] | None,
    ) -> Allowed:
        """Read given responses; the hidden states say later, a few at a time, which tokens may stand in each place."""
        assert self.network.family != "classifier"
        hidden = self.network.hidden(prompt_ids, prompt_mask, response_ids, response_mask, prompt_index)
        return Allowed(hidden=hidden, tokens=lambda states: self.tokens(self.network.logits(states)))
