"""Every number against a value worked out by hand."""

import math

import diagnoses
import numpy as np
import pandas as pd
import pytest

from analysis.preflight import statistics
from analysis.preflight.reading import Measured, Sampled, read
from analysis.preflight.statistics import Estimate, Summary

ONES, HALVES, ZEROS = [1.0] * 4, [0.0, 1.0, 0.0, 1.0], [0.0] * 4


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def measured(tmp_path, rows: list[list[float]], **more) -> Measured:
    return read(diagnoses.write(tmp_path, np.array(rows), **more))


def summary(tmp_path, rows: list[list[float]], **more) -> Summary:
    return statistics.summarise(measured(tmp_path, rows, **more), generator())


def sampled(*rows: list[float], response: str = "same") -> list[Sampled]:
    return [Sampled("a prompt", [response] * len(row), np.array(row)) for row in rows]


def test_shares_of_vanishing_stuck_and_solved_prompts(tmp_path) -> None:
    found = summary(tmp_path, [ZEROS, ZEROS, ONES, HALVES])
    assert (found.vanishing.value, found.stuck.value, found.solved.value) == (0.75, 0.5, 0.25)
    assert found.solved_mean == 1.0
    assert (found.worst, found.best) == (0.0, 1.0)
    assert found.reward_mean.value == pytest.approx((0 + 0 + 1 + 0.5) / 4)
    assert found.reward_std.value == pytest.approx(0.5 / 4)


def test_a_std_or_mean_at_its_threshold_counts_as_neither_small_nor_low(tmp_path) -> None:
    found = summary(tmp_path, [HALVES, [0.15] * 4], eval__std_below=0.5)
    assert found.vanishing.value == 0.5
    assert (found.stuck.value, found.solved.value) == (0.0, 0.5)


def test_without_a_low_reward_nothing_is_stuck_or_solved(tmp_path) -> None:
    found = summary(tmp_path, [ZEROS, ONES, HALVES, HALVES], data__low_reward=None)
    assert found.stuck is None and found.solved is None
    assert found.vanishing.value == 0.5


def test_percentiles_interpolate_between_prompts(tmp_path) -> None:
    spread = [[0.5 - d, 0.5 + d] * 2 for d in (0.0, 0.1, 0.2, 0.3, 0.4)]
    found = summary(tmp_path, spread)
    assert {p: round(each.value, 6) for p, each in found.percentiles.items()} == {
        **{1: 0.004, 5: 0.02, 10: 0.04, 25: 0.1, 50: 0.2}
    }
    assert all(each.low <= each.value <= each.high for each in found.percentiles.values())


def test_the_bootstrap_of_a_share_is_near_the_binomial_interval() -> None:
    rows = (np.arange(400) < 100).astype(float)[:, None]
    (share,) = statistics.bootstrap(lambda rows: rows.mean(axis=0), rows, generator(), draws=4000)
    half = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert share.value == 0.25
    assert (share.low, share.high) == pytest.approx((0.25 - half, 0.25 + half), abs=0.004)


def test_a_share_of_0_or_1_has_the_exact_interval() -> None:
    reach = 1 - 0.025 ** (1 / 10)
    assert statistics.share_estimate(Estimate(0.0, 0.0, 0.0), 10) == Estimate(0.0, 0.0, reach)
    assert statistics.share_estimate(Estimate(1.0, 1.0, 1.0), 10) == Estimate(1.0, 1 - reach, 1.0)
    assert statistics.share_estimate(Estimate(0.3, 0.1, 0.5), 10) == Estimate(0.3, 0.1, 0.5)


def cases(norms: list[float], errors: list[float], jacobian: list[float]) -> pd.DataFrame:
    columns = {"grad_norm": norms, "grad_error": errors, "jacobian_norm": jacobian, "bound_std": [100.0] * len(norms)}
    return pd.DataFrame(columns).astype(float)


def test_gradient_noise_is_removed_and_the_largest_jacobian_is_common() -> None:
    # sqrt(5^2 - 3^2) = 4 and sqrt(max(0, 1 - 4)) = 0
    norm, jacobian, limit = statistics.gradient_scale(cases([5.0, 1.0], [3.0, 2.0], [2.0, 7.0]), max_new_tokens=10)
    assert (norm, jacobian) == (2.0, 7.0)
    assert limit == pytest.approx(0.1 * 2.0 / (math.sqrt(2) * 10 * 7.0))


@pytest.mark.parametrize("jacobian", [math.nan, 0.0])
def test_without_a_jacobian_there_is_no_bound(jacobian: float) -> None:
    assert statistics.gradient_scale(cases([1.0], [0.1], [jacobian]), 10) is None
    assert statistics.gradient_scale(None, 10) is None


def test_prompts_by_bound_and_cases_over_theirs(tmp_path) -> None:
    scores = np.array([ZEROS, ONES, [0.5, 0.5001] * 2, HALVES])
    table = diagnoses.cases_of(scores, every=3).assign(
        grad_norm=[0.0, 2.0], grad_error=[0.0, 0.5], jacobian_norm=[1.0, 2.0], bound_std=[0.0, 0.9]
    )
    found = summary(tmp_path, scores.tolist(), cases=table).gradient
    assert found.std_limit == pytest.approx(0.1 * math.sqrt(2**2 - 0.5**2) / 2 / (math.sqrt(2) * 24 * 2.0))  # 0.0014
    assert found.share.value == 0.75
    assert (found.n_cases, found.n_over) == (2, 1)
    assert found.noise == 0.25


def test_the_limit_on_another_score() -> None:
    assert statistics.other_score_limit(10) == pytest.approx(1 - 0.05**0.1)
    assert statistics.other_score_limit(1) == pytest.approx(0.95)


def test_the_relative_error_of_a_std_leaves_out_prompts_of_one_score() -> None:
    # two samples 0 and 1: half of the resamples have std 0.5, half 0: mean 0.25, error 0.25, over 0.5
    scores = np.array([[0.0, 1.0], [0.3, 0.3]])
    assert statistics.relative_std_error(scores, generator(), resamples=20000) == pytest.approx(0.5, abs=0.01)
    assert math.isnan(statistics.relative_std_error(scores[1:], generator()))


def test_fewer_samples_show_fewer_other_scores() -> None:
    # one deviating score of four: two samples miss it half of the time
    scores = np.array([[0.0, 0.0, 0.0, 1.0]])
    assert statistics.share_from_half(scores, 0.05, generator(), resamples=20000) == pytest.approx(0.5, abs=0.02)
    assert math.isnan(statistics.share_from_half(scores[:, :3], 0.05, generator()))


def test_one_score_everywhere_and_whether_the_responses_differ() -> None:
    found = statistics.sampling_error(sampled(ZEROS, ZEROS, ONES, HALVES), 0.05, generator())
    assert (found.one_score, found.alike, found.distinct) == (0.5, 0.75, 0.25)
    varied = [Sampled("p", list("abcd"), np.zeros(4))]
    assert statistics.sampling_error(varied, 0.05, generator()).distinct == 1.0


def test_prompts_without_all_their_samples_are_left_out_of_the_sampling_error() -> None:
    assert statistics.sampling_error([], 0.05, generator()) is None
    assert statistics.sampling_error(sampled(ZEROS, ONES[:2]), 0.05, generator()).n_prompts == 1


def test_the_std_of_equal_scores_is_zero_whatever_its_rounding(tmp_path) -> None:
    rows = np.repeat([[0.041], [0.075], [0.973]], 10, axis=1)
    assert rows.std(axis=1).max() > 0
    table = diagnoses.cases_of(rows, every=1)
    found = measured(tmp_path, rows.tolist(), cases=table)
    assert (found.prompts["reward_std"] == 0).all()
    assert (found.cases[["reward_std", "grad_norm", "bound_std", "bound_two_thirds"]] == 0).all(axis=None)


def test_the_same_generator_gives_the_same_numbers(tmp_path) -> None:
    found = measured(tmp_path, diagnoses.scores_of(40, 10, 0.4, 0.1).tolist())
    assert statistics.summarise(found, generator()) == statistics.summarise(found, generator())
