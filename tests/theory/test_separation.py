"""Time separation: against the reference table, the closed-form limits, and an actual linear model."""

import numpy as np
import pytest

from rftlab.theory import descent_times, fit_slope, flow_time, start_logits, time_separation
from rftlab.theory.separation import eps_of_std, field_of, lead

# eps -> time of RFT, time of SFT; 6 labels, 3 of pretraining. Explicit Euler, steps of 0.02 / max|g|.
TABLE = {1e-2: (39.7, 2.88), 1e-3: (383.0, 4.61), 1e-4: (3.81e3, 6.35), 1e-5: (3.80e4, 8.07), 1e-6: (3.80e5, 9.79)}
# a step multiplies p by exp(0.02 * 4/3): Euler arrives late by the factor (exp(h) - 1) / h, h = 0.0267
EULER_IS_LATE = 1.0135


def euler_time(objective: str, logits: np.ndarray) -> float:
    """Follow the flow by small steps, as the table was made."""
    time = 0.0
    while lead(logits[None])[0] <= 0:
        gradient = field_of(objective)(logits[None])[0]
        step = 0.02 / np.abs(gradient).max()
        logits, time = logits + step * gradient, time + step
    return time


@pytest.mark.parametrize("eps", TABLE)
def test_small_steps_reproduce_the_reference_table(eps: float) -> None:
    logits = start_logits(6, 3, np.array([eps]))[0]
    assert euler_time("rft", logits) == pytest.approx(TABLE[eps][0], rel=2e-3)
    assert euler_time("sft", logits) == pytest.approx(TABLE[eps][1], rel=2e-3)


@pytest.mark.parametrize("eps", TABLE)
def test_the_exact_times_are_those_of_the_table_less_the_lag_of_its_steps(eps: float) -> None:
    logits = start_logits(6, 3, np.array([eps]))[0]
    assert flow_time("rft", logits) == pytest.approx(TABLE[eps][0] / EULER_IS_LATE, rel=2e-3)
    assert flow_time("sft", logits) == pytest.approx(TABLE[eps][1], rel=1e-2)


@pytest.mark.parametrize(("n_labels", "m"), [(2, 1), (6, 3), (10, 9), (50, 5)])
def test_times_at_tiny_std_are_those_of_the_closed_form(n_labels: int, m: int) -> None:
    std = np.array([1e-6])
    logits = start_logits(n_labels, m, eps_of_std(std))[0]
    assert flow_time("rft", logits) * std[0] ** 2 == pytest.approx(2 * m / (m + 1), rel=1e-4)
    further = start_logits(n_labels, m, eps_of_std(std / np.e))[0]
    assert flow_time("sft", further) - flow_time("sft", logits) == pytest.approx(2 * m / (m + 1), rel=1e-6)


def test_two_labels_have_an_exact_solution() -> None:
    # with the log-odds a < 0: da/dt = 4 p (1 - p) (RFT) and 2 (1 - p) (SFT), integrated from a to 0
    eps = 1e-3
    a = np.log(eps / (1 - eps))
    logits = start_logits(2, 1, np.array([eps]))[0]
    assert flow_time("rft", logits) == pytest.approx((np.exp(-a) - np.exp(a) - 2 * a) / 4, rel=1e-7)
    assert flow_time("sft", logits) == pytest.approx((1 - a - np.exp(a)) / 2, rel=1e-7)


def test_the_start_has_the_probabilities_and_the_std_asked_for() -> None:
    stds = np.array([1e-8, 1e-3, 0.5])
    probs = np.exp(start_logits(6, 3, eps_of_std(stds)))
    assert probs.sum(axis=1) == pytest.approx(1.0, rel=1e-14)
    assert probs[:, 4] == pytest.approx(probs[:, 0], rel=1e-14)
    assert 2 * np.sqrt(probs[:, 0] * (1 - probs[:, 0])) == pytest.approx(stds, rel=1e-12)


def test_fields_are_those_of_the_definition() -> None:
    logits = np.random.default_rng(0).standard_normal((5, 4))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rewards = np.array([1.0, -1.0, -1.0, -1.0])
    value = (probs * rewards).sum(axis=1, keepdims=True)
    assert np.allclose(field_of("rft")(logits), probs * (rewards - value), atol=1e-15)
    assert np.allclose(field_of("sft")(logits), np.eye(4)[0] - probs, atol=1e-15)


@pytest.mark.parametrize("objective", ["rft", "sft"])
def test_a_linear_model_trained_on_all_inputs_at_once_takes_the_times_of_the_flow(objective: str) -> None:
    logits = start_logits(6, 3, np.array([1e-2, 3e-2, 1e-3]))
    found = descent_times(objective, logits, 0.01, range(6000), np.random.default_rng(0))
    expected = np.array([flow_time(objective, row) for row in logits])
    arrives = expected < 50
    assert found[arrives] == pytest.approx(expected[arrives], rel=5e-3, abs=0.01)
    assert np.isnan(found[~arrives]).all()


def test_slopes_over_six_decades() -> None:
    frame = time_separation(6, 3, np.geomspace(5e-7, 0.5, 13), 0.05, 400, np.random.default_rng(0))
    flow = frame[frame["method"] == "ode"]
    rft, sft = flow[flow["objective"] == "rft"], flow[flow["objective"] == "sft"]
    line = fit_slope(np.log(rft["std"].to_numpy()), np.log(rft["time"].to_numpy()))
    assert line.low < -2 < line.high and line.high - line.low < 0.05
    line = fit_slope(-np.log(sft["std"].to_numpy()), sft["time"].to_numpy())
    assert line.slope == pytest.approx(1.5, abs=0.02) and line.r2 > 0.999
    counts = frame.groupby(["objective", "method"]).size()
    assert counts["rft", "ode"] == counts["sft", "ode"] == 13
    assert 0 < counts["rft", "descent"] < counts["sft", "descent"] <= 13  # only what ends within 400 steps is listed


def test_the_interval_of_a_slope_covers_it_in_95_of_100_samples() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(0.0, 1.0, 8)
    fits = [fit_slope(x, 3 * x + rng.standard_normal(8)) for _ in range(1000)]
    covered = np.mean([fit.low <= 3 <= fit.high for fit in fits])
    assert abs(covered - 0.95) < 0.02
    exact = fit_slope(x, 3 * x + 1)
    assert (exact.slope, exact.intercept, exact.r2) == pytest.approx((3, 1, 1))


def test_starts_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="below 1/6"):
        start_logits(6, 3, np.array([0.2]))
    with pytest.raises(ValueError, match="fewer than all"):
        start_logits(6, 6, np.array([0.01]))
    with pytest.raises(ValueError, match="needs 3"):
        fit_slope(np.zeros(2), np.zeros(2))
