"""Reward statistics per prompt, on cases small enough to do by hand."""

import numpy as np
import pytest

from rftlab.diagnostics import PromptStatistics, prompt_statistics


def test_mean_and_population_std_by_hand() -> None:
    found = prompt_statistics(np.array([[0.0, 1.0], [0.5, 0.5]]))
    assert found.mean.tolist() == [0.5, 0.5]
    assert found.std.tolist() == [0.5, 0.0]  # sqrt(((0.5)^2 + (0.5)^2) / 2)


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
