"""The learning rate: up to lr at the end of the warm-up, then constant, or along a cosine to zero at the last step."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rftlab.loops.lab import OptimizerSpec


def spec(schedule: str, warmup: int) -> OptimizerSpec:
    return OptimizerSpec(build=torch.optim.SGD, lr=0.5, schedule=schedule, warmup_steps=warmup, max_grad_norm=None)


def rates(schedule: str, warmup: int, total: int) -> list[float]:
    return [spec(schedule, warmup).lr_at(step, total) for step in range(1, total + 1)]


lengths = st.integers(2, 60).flatmap(lambda total: st.tuples(st.integers(0, total - 1), st.just(total)))


@given(lengths)
def test_a_cosine_starts_from_lr_where_the_warmup_ends_and_is_zero_at_the_last_step(sizes):
    warmup, total = sizes
    found = rates("cosine", warmup, total)
    highest = max(1, warmup)
    assert found[highest - 1] == 0.5 == max(found)
    assert found[-1] == 0.0
    assert found[:highest] == pytest.approx([0.5 * step / highest for step in range(1, highest + 1)])
    assert all(b < a for a, b in zip(found[highest - 1 :], found[highest:], strict=False))
    middle, odd = divmod(total - highest, 2)
    assert odd or found[highest - 1 + middle] == pytest.approx(0.25)  # half of lr, half way


@given(lengths)
def test_a_constant_rate_is_lr_from_the_end_of_the_warmup_on(sizes):
    warmup, total = sizes
    found = rates("constant", warmup, total)
    assert found[max(0, warmup - 1) :] == [0.5] * (total - max(0, warmup - 1))
    assert found[:warmup] == pytest.approx([0.5 * step / warmup for step in range(1, warmup + 1)])


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_run_of_one_step_takes_it(schedule):
    assert rates(schedule, 0, 1) == [0.5]
