"""One optimiser step: rows are divided without parting units, and the parts add up, over processes too."""

import itertools
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rftlab.loops.update import cut, joined, minibatches, totals_of, trim
from rftlab.ranks import Ranks
from rftlab.types import Experience, LossOutput

sizes_of_units = st.lists(st.integers(1, 5), min_size=1, max_size=12)


def units(sizes: list[int]) -> torch.Tensor:
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


@settings(max_examples=60, deadline=None)
@given(sizes_of_units, st.integers(1, 9), st.integers(0, 99))
def test_minibatches_take_every_row_once_and_part_no_unit(sizes, size, seed):
    unit = units(sizes)
    parts = minibatches(unit, size, torch.Generator().manual_seed(seed))
    assert sorted(torch.cat(parts).tolist()) == list(range(len(unit)))
    for part in parts:
        found = unit[part]
        assert len(part) <= max(size, max(sizes[int(u)] for u in found))
        for number in found.unique():
            assert int((found == number).sum()) == sizes[int(number)], "a unit was parted"
        assert len(found.unique_consecutive()) == len(found.unique()), "a unit is not adjacent"


@settings(max_examples=40, deadline=None)
@given(sizes_of_units, st.integers(1, 9))
def test_a_cut_wastes_no_room(sizes, size):
    unit = units(sizes)
    parts = cut(unit, size)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(len(unit)))
    for part, following in itertools.pairwise(parts):
        next_unit = int((unit == unit[following.start]).sum())
        assert part.stop - part.start + next_unit > size, "the next unit had room"


def test_single_rows_come_in_the_order_of_a_permutation():
    order = torch.randperm(10, generator=torch.Generator().manual_seed(3))
    parts = minibatches(torch.arange(10), 4, torch.Generator().manual_seed(3))
    assert [part.tolist() for part in parts] == [part.tolist() for part in order.split(4)]


def test_one_minibatch_of_all_rows_keeps_their_order():
    (rows,) = minibatches(units([2, 3]), 5, torch.Generator())
    assert rows.tolist() == [0, 1, 2, 3, 4]


def batch(rows: int = 4) -> Experience:
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]], dtype=torch.bool)[:rows]
    prompt_mask = torch.tensor([[0, 1, 1], [0, 0, 1]], dtype=torch.bool)
    return Experience(
        prompt_ids=torch.tensor([[0, 5, 7], [0, 0, 6]]),
        prompt_mask=prompt_mask,
        response_ids=torch.arange(12).view(4, 3)[:rows],
        response_mask=mask,
        prompt_index=torch.tensor([0, 0, 1, 1])[:rows],
        unit=torch.tensor([0, 0, 1, 1])[:rows],
        scores=None,
        temperature=1.0,
        columns={"values": torch.arange(12.0).view(4, 3)[:rows], "weights": torch.ones(rows)},
    )


def test_totals_count_tokens_rows_and_units():
    totals = totals_of(batch(), Ranks())
    assert (totals.tokens, totals.rows, totals.units) == (5, 4, 2)


def test_trimming_drops_padding_and_nothing_else():
    trimmed = trim(batch())
    assert trimmed.prompt_ids.tolist() == [[5, 7], [0, 6]]
    assert trimmed.response_ids.tolist() == [[0, 1], [3, 4], [6, 7], [9, 10]]
    assert trimmed["values"].tolist() == [[0.0, 1.0], [3.0, 4.0], [6.0, 7.0], [9.0, 10.0]]
    assert trimmed["weights"].tolist() == [1.0] * 4
    assert trimmed.response_mask.sum() == batch().response_mask.sum()


def test_where_all_is_padding_one_column_stays():
    empty = replace(batch(), response_mask=torch.zeros(4, 3, dtype=torch.bool))
    trimmed = trim(empty)
    assert trimmed.response_ids.tolist() == [[0], [3], [6], [9]]
    assert trimmed["values"].shape == (4, 1) and not trimmed.response_mask.any()


def test_metrics_add_up_and_of_maxima_the_largest_counts():
    loss = torch.tensor(0.5)
    outputs = [
        LossOutput(loss=loss, metrics={"a": torch.tensor(x)}, maxima={"b": torch.tensor(y)})
        for x, y in ((0.25, -3.0), (0.5, -1.0), (0.125, -2.0))
    ]
    norm = torch.tensor(2.0)
    assert joined(outputs, norm, Ranks()) == {"loss": 1.5, "a": 0.875, "grad/norm": 2.0, "b": -1.0}
    assert joined([LossOutput(loss=loss, metrics={"a": loss + 0.5})], norm, Ranks())["a"] == 1.0


def test_a_nan_among_maxima_is_not_hidden():
    outputs = [
        LossOutput(loss=torch.tensor(0.0), metrics={"a": torch.tensor(y)}, maxima={"b": torch.tensor(y)})
        for y in (1.0, float("nan"), 2.0)
    ]
    assert math.isnan(joined(outputs, torch.tensor(0.0), Ranks())["b"])


def test_one_process_is_the_identity():
    alone, x = Ranks.of_this_process(), torch.arange(3.0)
    assert alone == Ranks(0, 1) and alone.sum(x) is x and alone.max(x) is x and alone.share(7) == slice(0, 7)


@pytest.mark.parametrize("n", [0, 1, 5, 8])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_cover_the_rows_once_and_differ_by_one_at_most(n, size):
    shares = [Ranks(rank, size).share(n) for rank in range(size)]
    assert [i for share in shares for i in range(n)[share]] == list(range(n))
    lengths = [share.stop - share.start for share in shares]
    assert max(lengths) - min(lengths) <= 1


TWO = """
import sys, torch
from torch import distributed
from rftlab.loops.metrics import rollout_metrics
from rftlab.loops.score_scaling import RunningScores
from rftlab.loops.update import joined
from rftlab.ops import whiten
from rftlab.ranks import Ranks
from rftlab.types import LossOutput

rank, store = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
ranks, share = Ranks.of_this_process(), Ranks(rank, 2).share(5)
assert ranks == Ranks(rank, 2)
x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1]], dtype=torch.bool)
torch.testing.assert_close(whiten(x[share], mask[share], ranks.sum), whiten(x, mask)[share])
scores = x[:, 0]
one, all_at_once = RunningScores.empty().update(scores[share], ranks.sum), RunningScores.empty().update(scores)
for name, value in all_at_once.to_dict().items():
    assert abs(one.to_dict()[name] - value) < 1e-6, name
parameter = torch.nn.Parameter(torch.ones(2))
if rank == 0:
    parameter.grad = torch.tensor([1.0, 2.0])
ranks.sum_gradients([parameter])
assert parameter.grad.tolist() == [1.0, 2.0]
output = LossOutput(loss=torch.tensor(0.0), metrics={"a": torch.tensor(1.0)}, maxima={"b": torch.tensor(float(rank))})
assert joined([output], torch.tensor(3.0), ranks) == {"loss": 0.0, "a": 2.0, "grad/norm": 3.0, "b": 1.0}
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path: Path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = [sys.executable, "-c", TWO]
    started = [subprocess.Popen([*command, str(rank), str(tmp_path / "store")], env=environment) for rank in (0, 1)]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
