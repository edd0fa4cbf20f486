"""What the tests of algorithms compare: gradients by every leaf, and parts of a batch."""

from dataclasses import fields

import torch
from torch import Tensor

from rftlab.types import Experience, Forward, LossOutput


def gradients(loss: Tensor, new: Forward) -> tuple[Tensor, ...]:
    """Differentiate by log-probabilities, values and entropies; 0 where the loss does not read them."""
    assert new.values is not None and new.entropy is not None
    leaves = (new.logprobs, new.values, new.entropy)
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return tuple(torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True))


def part(new: Forward, index: slice) -> Forward:
    return Forward(**{f.name: getattr(new, f.name)[index] for f in fields(new)})


def rows(batch: Experience, index: slice) -> Experience:
    return batch.rows(torch.arange(len(batch.unit))[index])


def total(parts: list[LossOutput]) -> Tensor:
    return torch.stack([part.loss for part in parts]).sum()
