"""Intervals: hand-computed ones, equality with scipy, and coverage where a formula promises it."""

import math

import numpy as np
import pytest
import scipy.stats

from rftlab import intervals


def test_the_interval_of_a_mean_is_students() -> None:
    found = intervals.mean([1.0, 2.0, 3.0])  # standard error 1/sqrt(3); t of 2 degrees of freedom is 4.3027
    assert found.value == 2.0
    assert found.high - 2 == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    low, high = scipy.stats.ttest_1samp([1.0, 2.0, 3.0], 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_one_seed_has_a_value_and_no_interval_and_none_has_neither() -> None:
    one, none = intervals.mean([0.3]), intervals.mean([])
    assert one.value == 0.3 and not one.bounded
    assert math.isnan(none.value) and not none.bounded


def test_three_seeds_cover_the_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    found = [intervals.mean(rng.normal(size=3)) for _ in range(2000)]
    assert np.mean([each.low <= 0 <= each.high for each in found]) == pytest.approx(0.95, abs=0.015)


def test_shared_seeds_are_compared_one_by_one() -> None:
    a, b = {0: 1.0, 1: 5.0, 2: 9.0}, {0: 0.9, 1: 4.88, 2: 8.9, 7: 100.0}  # differences 0.1, 0.12, 0.1; 7 is not shared
    found = intervals.difference(a, b)
    assert found.n_paired == 3 and found.told_apart
    low, high = scipy.stats.ttest_rel(list(a.values()), [0.9, 4.88, 8.9]).confidence_interval(0.95)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((low, high))
    assert not intervals.difference(a, {key + 10: value for key, value in b.items() if key < 7}).told_apart


def test_seeds_that_are_not_shared_are_compared_as_welch_does() -> None:
    found = intervals.difference({0: 1.0, 1: 2.0}, {2: 5.0, 3: 7.0, 4: 6.5})
    low, high = scipy.stats.ttest_ind([1.0, 2.0], [5.0, 7.0, 6.5], equal_var=False).confidence_interval(0.95)
    assert found.n_paired == 0 and (found.estimate.low, found.estimate.high) == pytest.approx((low, high))


def test_one_seed_against_one_is_told_apart_by_nothing() -> None:
    same, other = (intervals.difference({0: 1.0}, {seed: 0.0}) for seed in (0, 1))
    assert same.estimate.value == other.estimate.value == 1.0
    assert not (same.estimate.bounded or other.estimate.bounded or same.told_apart or other.told_apart)


def test_equal_numbers_have_an_interval_without_width() -> None:
    apart = intervals.difference({0: 1.0, 1: 1.0}, {2: 0.0, 3: 0.0})
    assert (apart.estimate.low, apart.estimate.high) == (1.0, 1.0) and apart.told_apart
    assert not intervals.difference({0: 1.0, 1: 1.0}, {0: 1.0, 1: 1.0}).told_apart


@pytest.mark.parametrize("n", [2, 5, 40])
def test_wilson_of_whole_counts_is_scipys(n: int) -> None:
    for hits in range(n + 1):
        low, high = scipy.stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
        assert intervals.wilson(hits / n, n) == pytest.approx((low, high), abs=1e-6)


def test_a_line_that_is_flat_has_no_share_of_variance() -> None:
    flat = intervals.line(np.arange(4.0), np.ones(4))
    assert flat.slope.value == 0 and math.isnan(flat.r2)
    assert math.isnan(intervals.line(np.ones(4), np.arange(4.0)).slope.value)


def test_draws_that_are_no_numbers_leave_percentiles() -> None:
    assert intervals.percentiles(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert all(map(math.isnan, intervals.percentiles(np.array([np.nan]))))


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    found = intervals.interquartile_mean({0: [1.0], 1: [2.0], 2: [4.0], 3: [100.0]})
    assert found.value == 3.0 and found.low < 3.0 < found.high  # one outlier does not move it
    assert intervals.interquartile_mean({0: [1.0, 3.0]}).bounded is False
    assert math.isnan(intervals.interquartile_mean({}).value)


def test_each_stratum_of_an_interquartile_mean_draws_its_own_seeds() -> None:
    """Two tasks far apart: a bootstrap that mixed them would hold either of them alone."""
    runs = {seed: [0.0 + 0.01 * seed, 10.0 + 0.01 * seed] for seed in range(4)}
    found = intervals.interquartile_mean(runs)
    assert found.value == pytest.approx(5.015) and found.high - found.low < 0.05


def test_many_seeds_cover_an_interquartile_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    found = [intervals.interquartile_mean({s: [x] for s, x in enumerate(rng.normal(size=20))}) for _ in range(400)]
    assert np.mean([each.low <= 0 <= each.high for each in found]) == pytest.approx(0.95, abs=0.04)


def test_shared_seeds_of_interquartile_means_are_drawn_together() -> None:
    lucky = {seed: float(seed * 10) for seed in range(8)}
    a, b = ({seed: [value + shift] for seed, value in lucky.items()} for shift in (0.1, 0.0))
    found = intervals.interquartile_difference(a, b)
    assert found.n_paired == 8 and found.told_apart and found.estimate.value == pytest.approx(0.1)
    other = intervals.interquartile_difference(a, {seed + 100: value for seed, value in b.items()})
    assert other.n_paired == 0 and not other.told_apart and other.estimate.value == pytest.approx(0.1)
    assert not intervals.interquartile_difference({0: [1.0]}, {0: [0.0]}).estimate.bounded
