"""The controller of the KL coefficient."""

import math

import pytest

from rftlab.algorithms.kl_control import AdaptiveKL

CONTROL = AdaptiveKL(initial=0.05, target=6.0, rate=0.1, unit="response")


def test_kl_above_the_target_raises_beta_and_below_lowers_it():
    assert CONTROL.update(0.05, 6.5) > 0.05 > CONTROL.update(0.05, 5.5)


def test_kl_on_the_target_leaves_beta():
    assert CONTROL.update(0.05, 6.0) == 0.05


def test_a_small_error_moves_beta_in_proportion():
    # KL 10% above the target, rate 0.1: beta grows by 1%
    assert CONTROL.update(2.0, 6.6) == pytest.approx(2.0 * 1.01)


@pytest.mark.parametrize(("measured", "factor"), [(60.0, 1.02), (math.inf, 1.02), (0.0, 0.98), (-3.0, 0.98)])
def test_one_update_answers_to_an_error_of_at_most_a_fifth(measured, factor):
    assert CONTROL.update(2.0, measured) == pytest.approx(2.0 * factor)


def test_without_a_target_beta_is_constant():
    assert AdaptiveKL(initial=0.05, target=None, rate=0.1, unit="response").update(0.05, 1e6) == 0.05


def test_no_penalty_stays_no_penalty():
    assert CONTROL.update(0.0, 100.0) == 0.0


def test_a_broken_measurement_is_not_mistaken_for_a_large_kl():
    assert math.isnan(CONTROL.update(0.05, math.nan))


def test_beta_finds_the_value_at_which_a_responding_policy_meets_the_target():
    beta = CONTROL.initial
    for _ in range(1000):
        beta = CONTROL.update(beta, 3.0 / beta)  # a policy whose KL falls as the penalty grows; KL = 6 at beta = 0.5
    assert beta == pytest.approx(0.5, rel=1e-3)


def test_a_token_mean_measured_against_a_sequence_target_only_ever_lowers_beta():
    """The unit matters: 30 tokens at 0.4 nats are twice the target as a sum, and far below it as a mean."""
    per_token, length = 0.4, 30
    assert CONTROL.update(0.05, per_token * length) > 0.05 > CONTROL.update(0.05, per_token)
