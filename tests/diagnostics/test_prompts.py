"""Reward statistics per prompt, on cases small enough to do by hand."""

import numpy as np
import pytest

from rftlab.diagnostics import PromptStatistics, prompt_statistics


def test_mean_and_population_std_by_hand() -> None:
    found = prompt_statistics(np.array([[0.0, 1.0], [0.5, 0.5]]))
    assert found.mean.tolist() == [0.5, 0.5]
    assert found.std.tolist() == [0.5, 0.0]  # sqrt(((0.5)^2 + (0.5)^2) / 2)


@pytest.mark.parametrize("value", [0.041, 0.075, 0.973, 1 / 3, 1e6 + 0.1, -0.7])
@pytest.mark.parametrize("n", [3, 6, 10])
def test_equal_scores_have_exactly_their_mean_and_a_std_of_zero(value: float, n: int) -> None:
    found = prompt_statistics(np.full((2, n), value))
    assert found.mean.tolist() == [value, value]
    assert found.std.tolist() == [0.0, 0.0]


def test_measuring_from_the_first_score_changes_neither_moment() -> None:
    scores = np.random.default_rng(0).normal(3.0, 2.0, (50, 10))
    found = prompt_statistics(scores)
    assert found.mean == pytest.approx(scores.mean(axis=1), rel=1e-14)
    assert found.std == pytest.approx(scores.std(axis=1), rel=1e-13)


def test_a_solved_prompt_vanishes_but_is_not_low() -> None:
    found = prompt_statistics(np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.04]]))
    summary = found.summary(std_below=0.05, low_reward=0.15)
    assert summary["share_vanishing"] == 0.75
    assert summary["share_vanishing_low"] == 0.5
    assert summary["reward_mean"] == pytest.approx((1 + 0 + 0.5 + 0.02) / 4)


def test_statistics_of_batches_join_to_those_of_the_whole() -> None:
    scores = np.random.default_rng(0).random((7, 5))
    joined = PromptStatistics.concatenate([prompt_statistics(scores[:3]), prompt_statistics(scores[3:])])
    whole = prompt_statistics(scores)
    assert np.array_equal(joined.mean, whole.mean)
    assert np.array_equal(joined.std, whole.std)
    assert joined.summary(0.05, None) == whole.summary(0.05, None)
