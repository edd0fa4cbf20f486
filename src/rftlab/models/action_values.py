"""Action values of a policy's states, and decoding that is shifted by them: implicit Q-learning on language models."""

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from rftlab.models.critic import initialise
from rftlab.models.policy import Policy
from rftlab.types import ActionValues


class Head(nn.Module):
    """hidden -> 2 hidden -> ReLU -> outputs, fp32, as the value head of APA."""

    def __init__(self, hidden_size: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.inner, self.last = nn.Linear(hidden_size, 2 * hidden_size), nn.Linear(2 * hidden_size, outputs)
        for layer in (self.inner, self.last):
            initialise(layer, generator)

    def forward(self, states: Float[Tensor, "m d"]) -> Float[Tensor, "m o"]:
        return self.last(self.inner(states).relu())

    def of_actions(self, states: Float[Tensor, "m d"], ids: Int[Tensor, " m"]) -> Float[Tensor, " m"]:
        """Give one output per state, without the table of all of them."""
        return (self.inner(states).relu() * self.last.weight[ids]).sum(-1) + self.last.bias[ids]


class ActionHeads(nn.Module):
    """Two Q heads over the vocabulary and a V head, fp32, with slow copies of the Q heads that do not train."""

    def __init__(self, hidden_size: int, vocabulary: int, generator: torch.Generator) -> None:
        super().__init__()
        self.q_1, self.q_2 = (Head(hidden_size, vocabulary, generator) for _ in range(2))
        self.v = Head(hidden_size, 1, generator)
        self.copy_1, self.copy_2 = (copy.deepcopy(head).requires_grad_(False) for head in (self.q_1, self.q_2))

    def forward(
        self, hidden: Float[Tensor, "n t d"], ids: Int[Tensor, "n t"], mask: Bool[Tensor, "n t"]
    ) -> ActionValues:
        """Value the real response tokens; 0 elsewhere. Tables over the vocabulary are of these tokens alone."""
        states, actions = hidden[mask].float(), ids[mask]
        tables = [self.q_1(states), self.q_2(states)]
        chosen = [table.gather(-1, actions.unsqueeze(-1)).squeeze(-1) for table in tables]
        with torch.no_grad():
            target = torch.minimum(*(copied.of_actions(states, actions) for copied in (self.copy_1, self.copy_2)))

        def spread(x: Tensor) -> Tensor:
            return x.new_zeros(mask.shape).masked_scatter(mask, x)

        return ActionValues(
            q=torch.stack([spread(x) for x in chosen]),
            q_logsumexp=torch.stack([spread(table.logsumexp(-1)) for table in tables]),
            target_q=spread(target),
            v=spread(self.v(states).squeeze(-1)),
        )

    @torch.no_grad()
    def move_copies(self, alpha: float) -> None:
        """Polyak averaging: copy <- alpha * head + (1 - alpha) * copy."""
        for copied, head in ((self.copy_1, self.q_1), (self.copy_2, self.q_2)):
            for slow, fast in zip(copied.parameters(), head.parameters(), strict=True):
                slow.lerp_(fast, alpha)

    def shift(
        self, hidden: Float[Tensor, "n d"], logits: Float[Tensor, "n v"], b: float, top_k: int
    ) -> Float[Tensor, "n v"]:
        """Give topk(log pi + b (min of the copies of Q - V)), -inf elsewhere."""
        states = hidden.float()
        with torch.autocast(states.device.type, enabled=False):  # values are fp32, as in the update
            advantages = torch.minimum(self.copy_1(states), self.copy_2(states)) - self.v(states)
        shifted = logits.log_softmax(-1) + b * advantages
        kth = shifted.topk(min(top_k, shifted.shape[-1])).values[..., -1:]
        return shifted.masked_fill(shifted < kth, -torch.inf)


class ShiftedPolicy(Policy):
    """A policy as it decodes: the same network, its logits shifted by action values. It is not trained."""

    def __init__(self, policy: Policy, heads: ActionHeads, b: float, top_k: int) -> None:
        super().__init__(policy.lm, policy.tokenizer, policy.family, policy.compute_dtype)
        self.heads, self.b, self.top_k = heads, b, top_k

    def logits(self, hidden: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows v"]:
        """Apply the head of the model and shift what it says."""
        flat = hidden.reshape(-1, hidden.shape[-1])
        shifted = self.heads.shift(flat, super().logits(flat), self.b, self.top_k)
        return shifted.view(*hidden.shape[:-1], -1)


def shifted_policies(policy: Policy, heads: ActionHeads, bs: Sequence[float], top_k: int) -> dict[str, Policy]:
    """Name the ways of decoding with each weight b of the advantages: `_b1` for b = 1."""
    return {f"_b{b:g}": ShiftedPolicy(policy, heads, b, top_k) for b in bs}
