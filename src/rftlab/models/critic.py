"""Value functions: V(s_t), read at the position that predicts response token t."""

import copy
import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from rftlab.errors import UserError
from rftlab.models.adapters import adapted, copy_sharing
from rftlab.models.policy import Policy


class ValueHead(nn.Module):
    """Map hidden states to fp32 values.

    `mlp` is hidden -> 2 hidden -> ReLU -> 1 (APA); `linear` has no bias (RL4LMs).
    """

    def __init__(self, hidden_size: int, kind: str, generator: torch.Generator) -> None:
        super().__init__()
        if kind == "mlp":
            wide = 2 * hidden_size
            self.net = nn.Sequential(nn.Linear(hidden_size, wide), nn.ReLU(), nn.Linear(wide, 1))
        elif kind == "linear":
            self.net = nn.Sequential(nn.Linear(hidden_size, 1, bias=False))
        else:
            raise UserError(f"model.value.head={kind}", "mlp or linear", "model.value.head")
        for layer in self.net:
            if isinstance(layer, nn.Linear):
                initialise(layer, generator)

    def forward(self, hidden: Float[Tensor, "n t d"]) -> Float[Tensor, "n t"]:
        return self.net(hidden.float()).squeeze(-1)


@torch.no_grad()
def initialise(layer: nn.Linear, generator: torch.Generator) -> None:
    """Draw uniformly within 1/sqrt(fan-in), as torch does by default, but from the given stream."""
    bound = 1 / math.sqrt(layer.in_features)
    for parameter in layer.parameters():
        draw = torch.rand(parameter.shape, generator=generator, device=generator.device)
        parameter.copy_((2 * draw - 1) * bound)


class ValueFunction(nn.Module):
    """V(s_t) of a policy's states.

    `trunk` is None when the head reads the policy's own hidden states, so that the value gradient flows into the
    policy; otherwise it is a second network with the policy's start weights.
    """

    def __init__(self, trunk: Policy | None, head: ValueHead) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(
        self,
        policy_hidden: Float[Tensor, "n t d"] | None,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        response_ids: Int[Tensor, "n t"],
        response_mask: Bool[Tensor, "n t"],
        prompt_index: Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n t"]:
        """Value every state; 0 outside `response_mask`. A trunk of its own reads the rows, not `policy_hidden`."""
        if self.trunk is not None:
            hidden = self.trunk.hidden(prompt_ids, prompt_mask, response_ids, response_mask, prompt_index)
        else:
            assert policy_hidden is not None
            hidden = policy_hidden
        return self.head(hidden).masked_fill(~response_mask, 0.0)


def value_function(policy: Policy, kind: str, head: str, generator: torch.Generator) -> ValueFunction:
    """Make the value function of a policy: `separate` copies the whole network, `head` shares the policy's.

    The copy trains in all its layers whatever is frozen in the policy (APA, released code), and has no head over the
    vocabulary. Of a policy with an adapter it has the base in common: an adapter of its own and the head train.
    """
    value_head = ValueHead(policy.hidden_size, head, generator).to(policy.device)
    if kind == "head":
        return ValueFunction(None, value_head)
    if kind != "separate":
        raise UserError(f"model.value.kind={kind}", "separate or head", "model.value.kind")
    trunk = copy_sharing(policy.lm) if adapted(policy.lm) else copy.deepcopy(policy.lm).requires_grad_(True)
    if policy.family != "classifier":
        trunk.set_output_embeddings(nn.Identity())
    return ValueFunction(policy.with_lm(trunk), value_head)
