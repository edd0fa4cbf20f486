"""Small rollouts, batches and forwards with explicit values; prompts are irrelevant here and hold zeros."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from rftlab.types import Batch, Forward, Rollout


def _field(value: Tensor | float, mask: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.full(mask.shape, value)


def _prompts(mask: Tensor) -> dict[str, Tensor]:
    ids = torch.zeros(len(mask), 1, dtype=torch.long)
    return {"prompt_ids": ids, "prompt_mask": torch.ones_like(ids, dtype=torch.bool)}


@pytest.fixture
def mask_of() -> Callable[..., Tensor]:
    def build(*lengths: int, width: int) -> Tensor:
        return torch.arange(width) < torch.tensor(lengths).unsqueeze(1)

    return build


@pytest.fixture
def randn() -> Callable[..., Tensor]:
    def draw(*shape: int, seed: int = 0) -> Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))

    return draw


@pytest.fixture
def make_rollout() -> Callable[..., Rollout]:
    def build(
        *,
        mask: Tensor,
        scores: Sequence[float] | Tensor,
        values: Tensor | float = 0.0,
        old_logprobs: Tensor | float = -1.0,
        ref_logprobs: Tensor | float = -1.0,
    ) -> Rollout:
        return Rollout(
            **_prompts(mask),
            response_ids=torch.zeros(mask.shape, dtype=torch.long),
            response_mask=mask,
            old_logprobs=_field(old_logprobs, mask),
            ref_logprobs=_field(ref_logprobs, mask),
            values=_field(values, mask),
            scores=torch.as_tensor(scores, dtype=torch.float32),
            prompt_index=torch.arange(len(mask)),
        )

    return build


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    def build(
        *,
        mask: Tensor,
        advantages: Tensor | float = 0.0,
        old_logprobs: Tensor | float = -1.0,
        ref_logprobs: Tensor | float = -1.0,
        old_values: Tensor | float = 0.0,
        returns: Tensor | float = 0.0,
    ) -> Batch:
        return Batch(
            **_prompts(mask),
            response_ids=torch.zeros(mask.shape, dtype=torch.long),
            response_mask=mask,
            old_logprobs=_field(old_logprobs, mask),
            ref_logprobs=_field(ref_logprobs, mask),
            old_values=_field(old_values, mask),
            advantages=_field(advantages, mask),
            returns=_field(returns, mask),
        )

    return build


@pytest.fixture
def make_forward() -> Callable[..., Forward]:
    def build(logprobs: Tensor, *, values: Tensor | float | None = 0.0, entropy: Tensor | float = 0.0) -> Forward:
        return Forward(
            logprobs=logprobs,
            entropy=_field(entropy, logprobs),
            values=None if values is None else _field(values, logprobs),
        )

    return build
