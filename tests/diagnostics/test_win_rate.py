"""Win rate, ties and position bias of cases done by hand."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from rftlab.diagnostics.win_rate import Shown, mean_with_interval, win_rate


def both(first: float, second: float) -> list[Shown]:
    """Give the values of the first policy when it is shown first, and when it is shown second."""
    return [Shown(value=float(first), shown_first=True), Shown(value=float(second), shown_first=False)]


def test_a_case_by_hand() -> None:
    verdicts = {"won": both(1, 1), "split": both(1, 0), "tie": both(0.5, 0.5), "half": both(0.5, 1), "lost": both(0, 0)}
    found = win_rate(verdicts | {"torn": both(1, 1)[:1], "none": []}, identical=1, orders=2, resamples=200, seed=0)
    assert found.rate.value == pytest.approx((1 + 0.5 + 0.5 + 0.75 + 0 + 0.5) / 6)
    assert (found.won, found.tied, found.lost, found.left_out) == (2, 3, 1, 2)
    # shown first preferred: 1 and 0, 1 and 1, ties, 0.5 and 0, 0 and 1
    assert found.bias.value == pytest.approx((0.5 + 1 + 0.5 + 0.25 + 0.5) / 5)
    assert found.agreed == pytest.approx(3 / 5)


def test_the_other_side_sees_the_complement_and_the_same_bias() -> None:
    rng = np.random.default_rng(1)
    values = rng.choice([0.0, 0.5, 1.0], size=(40, 2))
    mine = {str(i): both(*row) for i, row in enumerate(values.tolist())}
    theirs = {
        place: [Shown(value=1 - one.value, shown_first=not one.shown_first) for one in shown]
        for place, shown in mine.items()
    }
    a, b = (win_rate(side, 3, 2, 300, 0) for side in (mine, theirs))
    assert a.rate.value == pytest.approx(1 - b.rate.value)
    assert (a.rate.low, a.rate.high) == pytest.approx((1 - b.rate.high, 1 - b.rate.low), abs=0.02)
    assert (a.won, a.tied, a.lost) == (b.lost, b.tied, b.won) and a.bias.value == pytest.approx(b.bias.value)


def test_a_judge_that_always_takes_the_first_is_all_bias_and_no_win() -> None:
    found = win_rate({str(i): both(1, 0) for i in range(30)}, 0, 2, 100, 0)
    assert (found.rate.value, found.bias.value, found.agreed, found.tied) == (0.5, 1.0, 0.0, 30)
    assert found.bias.low < 1 and found.bias.high == 1


def test_one_order_is_enough_where_no_order_is_seen() -> None:
    found = win_rate({"a": both(1, 1)[:1], "b": both(0, 0)[:1]}, 0, 1, 100, 0)
    assert (found.rate.value, found.left_out) == (0.5, 0) and math.isnan(found.bias.value) and math.isnan(found.agreed)


def test_the_interval_of_a_share_is_near_the_binomial_one() -> None:
    values = np.array([1.0] * 130 + [0.0] * 70)
    found = mean_with_interval(values, 4000, 0)
    exact = binomtest(130, 200).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.012)
    assert found == mean_with_interval(values, 4000, 0) != mean_with_interval(values, 4000, 1)


def test_where_all_agree_the_interval_is_exact_and_has_a_width() -> None:
    for value, side in ((1.0, "low"), (0.0, "high")):
        found = mean_with_interval(np.full(20, value), 100, 0)
        exact = binomtest(round(20 * value), 20).proportion_ci(method="exact")
        assert getattr(found, side) == pytest.approx(getattr(exact, side)) and found.value == value
    tied = mean_with_interval(np.full(5, 0.5), 100, 0)
    reach = binomtest(0, 5).proportion_ci(method="exact").high
    assert (tied.low, tied.value, tied.high) == pytest.approx((0.5 - reach / 2, 0.5, 0.5 + reach / 2))
    assert math.isnan(mean_with_interval(np.array([]), 100, 0).value)
