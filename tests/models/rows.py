"""Prompts and answers of a policy, and a policy read together with its value function."""

from dataclasses import replace

import torch

from rftlab.models import (
    Policy,
    ValueFunction,
    value_function,
)
from rftlab.types import Forward

PROMPTS = ["what is it?", "hi", "a rather longer prompt"]
TARGETS = ["yes", "no, never", "ok"]


def batch(policy: Policy, max_prompt: int = 32) -> tuple[torch.Tensor, ...]:
    return (*policy.encode_prompts(PROMPTS, max_prompt, "left"), *policy.encode_targets(TARGETS, 16, True))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Valued(torch.nn.Module):
    """A policy and its value function, read together."""

    def __init__(self, policy: Policy, value: ValueFunction) -> None:
        super().__init__()
        self.policy, self.value = policy, value
        self.critic, self.head = value.trunk, value.head

    def forward(self, *row: torch.Tensor) -> Forward:
        scored, hidden = self.policy.read(*row, 1.0, None, "none")
        return replace(scored, values=self.value(hidden, *row))

    def values(self, *row: torch.Tensor) -> torch.Tensor:
        return self.value(self.policy.hidden(*row), *row)


def with_value(policy: Policy, kind: str, head: str, generator: torch.Generator) -> Valued:
    return Valued(policy, value_function(policy, kind, head, generator))
