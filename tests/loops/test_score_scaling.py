"""Running scaling of scores."""

import json

import numpy as np
import pytest
import torch

from rftlab.loops.score_scaling import RunningScores, scale_scores


def rollouts(n: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [3.0 * torch.randn(8, generator=generator) + 100.0 * i for i in range(n)]


def test_running_std_is_that_of_all_scores_so_far():
    state, seen = RunningScores.empty(), []
    for scores in rollouts(5):
        state, seen = state.update(scores), [*seen, scores.numpy().astype(np.float64)]
        assert state.std == pytest.approx(np.std(np.concatenate(seen), ddof=1), rel=1e-9)
        assert state.mean == pytest.approx(np.mean(np.concatenate(seen)), rel=1e-9)


def test_a_large_offset_does_not_cost_the_std_its_precision():
    generator = torch.Generator().manual_seed(0)
    scores = 1e6 + torch.randn(1000, generator=generator, dtype=torch.float64)
    state = RunningScores.empty().update(scores[:500]).update(scores[500:])
    assert state.std == pytest.approx(np.std(scores.numpy(), ddof=1), rel=1e-6)


def test_split_of_the_scores_into_rollouts_does_not_matter():
    scores = torch.cat(rollouts(3))
    whole, pieces = RunningScores.empty().update(scores), RunningScores.empty()
    for piece in scores.split([1, 7, 16]):
        pieces = pieces.update(piece)
    assert pieces.std == pytest.approx(whole.std, rel=1e-12)


def test_scaling_continues_after_a_resume_as_if_never_stopped():
    first, second, third = rollouts(3)
    before = RunningScores.empty().update(first).update(second)
    resumed = RunningScores.from_dict(json.loads(json.dumps(before.to_dict())))
    assert resumed.update(third) == before.update(third)


def test_updates_leave_the_old_state_alone_and_nothing_adds_nothing():
    state = RunningScores.empty().update(rollouts(1)[0])
    copy = RunningScores.from_dict(state.to_dict())
    state.update(torch.tensor([1e3]))
    assert state == copy
    assert state.update(torch.zeros(0)) == state


def test_scaled_scores_have_unit_std_and_keep_their_sign():
    scores = rollouts(1)[0] + 50.0
    scaled = scale_scores(scores, RunningScores.empty().update(scores), scaling="running", clip=None)
    assert scaled.std(correction=1).item() == pytest.approx(1.0, rel=1e-5)
    assert (scaled > 0).all(), "scores are not centred"


def test_scaling_removes_the_unit_of_the_score():
    scores = rollouts(1)[0]
    small, large = (
        scale_scores(x, RunningScores.empty().update(x), scaling="running", clip=None)
        for x in (scores, 1000.0 * scores)
    )
    torch.testing.assert_close(small, large)


@pytest.mark.parametrize("scaling", ["none", "running"])
def test_clip_bounds_the_score_that_is_used(scaling):
    scores = torch.tensor([-50.0, 0.25, 50.0])
    unit = RunningScores(count=5.0, mean=0.0, m2=4.0)  # std 1
    assert scale_scores(scores, unit, scaling=scaling, clip=10.0).tolist() == [-10.0, 0.25, 10.0]


def test_no_scaling_and_no_clip_change_nothing():
    scores = rollouts(1)[0]
    used = scale_scores(scores, RunningScores.empty().update(scores), scaling="none", clip=None)
    assert torch.equal(used, scores)


def test_scores_that_never_varied_keep_their_size():
    scores = torch.full((8,), 0.3)
    state = RunningScores.empty().update(scores).update(scores)
    assert torch.equal(scale_scores(scores, state, scaling="running", clip=None), scores)
    assert RunningScores.empty().std == 0.0
    assert RunningScores.empty().update(torch.tensor([3.0])).std == 0.0, "one score has no spread"
