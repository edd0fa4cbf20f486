"""Packed rows: what is read, and that attention and its gradients are those of one row at a time."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import batch

from rftlab.models import Policy, freeze_below, value_function
from rftlab.models.packing import Packing, grid_of, pack
from rftlab.models.shared_attention import Joined, attend_by_rows

CASES = {
    "uneven": ([3, 5, 2], [4, 1, 0, 3, 6], [2, 0, 0, 1, 2]),
    "even": ([4, 4], [5, 5, 5, 5], [0, 0, 1, 1]),
    "no token read after the prompt": ([4, 2], [1, 1], [1, 0]),
    "a prompt without a row": ([4, 2, 3], [2, 3], [2, 2]),
}


def layout(prompts: list[int], answers: list[int], index: list[int], *, causal: bool = True, p: int = 6) -> Packing:
    asked = torch.arange(p) >= p - torch.tensor(prompts)[:, None]
    asked = asked if causal else asked.flip(1)
    packing = pack(asked, torch.arange(7) < torch.tensor(answers)[:, None], torch.tensor(index), causal=causal)
    assert packing is not None
    return packing


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_a_grid_holds_every_token_once(lengths: list[int]) -> None:
    grid = grid_of(torch.tensor(lengths))
    if grid is None:
        assert not any(lengths)
        return
    tokens = torch.arange(float(sum(lengths))).unsqueeze(1).requires_grad_(True)
    spread = grid.spread(tokens)
    assert grid.taken().sum(1).tolist() == lengths
    for line, (length, before) in enumerate(zip(lengths, torch.tensor([0, *lengths]).cumsum(0).tolist(), strict=False)):
        assert spread[line, :length, 0].tolist() == list(range(before, before + length))
    assert torch.equal(grid.collect(spread), tokens)
    (grid.collect(spread) * tokens.detach()).sum().backward()
    assert torch.equal(tokens.grad, tokens.detach()), "each token has its own gradient, and empty places have none"
    tokens.grad = None
    spread = grid.spread(tokens)
    spread.sum().backward()
    assert torch.equal(tokens.grad, torch.ones_like(tokens))


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_joined_attention_and_its_gradients_are_those_with_copies_of_the_prompt(case: str, dtype: torch.dtype) -> None:
    packing = layout(*CASES[case])
    stream = torch.Generator().manual_seed(0)
    m = packing.positions.shape[1]
    given = [torch.randn((m, 3, 8), generator=stream, dtype=dtype) for _ in range(4)]
    found = []
    for attend in (Joined.apply, attend_by_rows):
        parts = [x.clone().requires_grad_(True) for x in given[:3]]
        out = attend(*parts, packing, 0.3)
        out.backward(given[3])
        found.append([out.detach(), *(x.grad for x in parts)])
    near = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.05}[dtype]
    for joined, plain in zip(*found, strict=True):
        assert torch.isfinite(joined).all()
        torch.testing.assert_close(joined, plain, atol=near, rtol=near)


def test_positions_count_from_the_start_of_each_text() -> None:
    packing = layout([3, 2], [4, 2, 3], [1, 0, 1])
    assert packing.positions[0].tolist() == [0, 1, 2, 0, 1, 3, 2, 3, 4, 2, 3]
    assert packing.outputs[:, 0].tolist() == [4, 2, 4], "the last token of the prompt predicts the first one"
    decoder = layout([3, 2], [4, 2, 3], [1, 0, 1], causal=False)
    assert decoder.positions[0].tolist() == [0, 1, 0, 1, 2, 3, 0, 1, 2]


@pytest.mark.parametrize("causal", [True, False])
def test_what_is_taken_apart_comes_together_again(causal: bool) -> None:
    packing = layout(*CASES["uneven"], causal=causal)
    m = packing.prompt_tokens + len(packing.row_source)
    row = torch.randn(1, m, 2)
    assert torch.equal(packing.row_of(*packing.apart(row, 6, 7)), row)


def test_rows_that_cannot_be_packed_are_told() -> None:
    mask, index = torch.ones(2, 3, dtype=torch.bool), torch.tensor([0, 1])
    gap = torch.tensor([[1, 0, 1], [1, 1, 1]], dtype=torch.bool)
    empty = torch.tensor([[0, 0, 0], [1, 1, 1]], dtype=torch.bool)
    assert pack(mask, mask, index, causal=True) is not None
    assert pack(mask, gap, index, causal=True) is None and pack(empty, mask, index, causal=True) is None


def gradients(policy: Policy) -> list[torch.Tensor]:
    prompt_ids, prompt_mask, ids, mask = batch(policy)
    index = torch.tensor([2, 0, 1, 0])
    value = value_function(policy, "separate", "mlp", torch.Generator().manual_seed(0))
    assert value.trunk is not None
    value.trunk.plain = policy.plain
    row = (prompt_ids, prompt_mask, ids[[0, 1, 2, 1]], mask[[0, 1, 2, 1]])
    policy.zero_grad()
    said = policy(*row, 0.7, index).logprobs
    values = value(None, *row, index)
    ((said**2).sum() + (values**2).sum()).backward()
    learned = [p for net in (policy, value) for p in net.parameters() if p.grad is not None]
    return [said.detach(), values.detach(), *(p.grad for p in learned)]


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("unfrozen", [None, 1])
def test_packed_rows_say_and_teach_what_padded_ones_do(
    tiny: Callable[..., Policy], unfrozen: int | None, recompute: bool
) -> None:
    policy = tiny()
    freeze_below(policy, unfrozen)
    policy.recompute = recompute
    packed = gradients(policy)
    policy.plain = True
    padded = gradients(policy)
    assert len(packed) == len(padded) > 4
    for one, other in zip(packed, padded, strict=True):
        assert (one - other).abs().max() < 1e-5 * other.abs().max().clamp_min(1.0)
