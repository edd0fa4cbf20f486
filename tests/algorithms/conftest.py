"""Small experience and forwards with explicit values; prompts are irrelevant here and hold zeros."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from rftlab.types import Experience, Forward


def _field(value: Tensor | float, mask: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.full(mask.shape, value)


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
def make_experience() -> Callable[..., Experience]:
    """Make rows with the given mask; every other argument is a column, and a number fills it."""
    usual = {"old_logprobs": -1.0, "ref_logprobs": -1.0, "values": 0.0, "advantages": 0.0, "returns": 0.0}

    def build(*, mask: Tensor, scores: Sequence[float] | Tensor | None = None, **columns: Tensor | float) -> Experience:
        ids = torch.zeros(len(mask), 1, dtype=torch.long)
        return Experience(
            prompt_ids=ids,
            prompt_mask=torch.ones_like(ids, dtype=torch.bool),
            response_ids=torch.zeros(mask.shape, dtype=torch.long),
            response_mask=mask,
            prompt_index=torch.arange(len(mask)),
            unit=torch.arange(len(mask)),
            scores=None if scores is None else torch.as_tensor(scores, dtype=torch.float32),
            temperature=1.0,
            columns={name: _field(value, mask) for name, value in (usual | columns).items()},
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


@pytest.fixture
def case(randn, mask_of, make_experience, make_forward) -> tuple[Experience, Forward]:
    """A batch of unequal rows and networks that have moved since it was sampled; the forward is made of leaves."""
    mask = mask_of(6, 1, 3, 2, width=6)
    old = randn(4, 6, seed=1)
    batch = make_experience(
        mask=mask,
        advantages=randn(4, 6, seed=2),
        old_logprobs=old,
        ref_logprobs=randn(4, 6, seed=3),
        values=randn(4, 6, seed=4),
        returns=randn(4, 6, seed=5),
    )
    new = make_forward(
        (old + 0.3 * randn(4, 6, seed=6)).requires_grad_(),
        values=randn(4, 6, seed=7).requires_grad_(),
        entropy=randn(4, 6, seed=8).abs().requires_grad_(),
    )
    return batch, new
