"""Slopes and bounds against values worked out by hand."""

import math

import kinds
import numpy as np
import pandas as pd
import pytest

from analysis.statistics import theory

CELL = {"scale": "mini", "source": "generated", "data": "one_token", "model": "softmax", "optimizer": "none"} | {
    "heuristic": "none",
    "variant": "",
    "cell": "c0",
    "sweep": "s",
    "seed": 0,
    "run_key": "k0",
}


def cases(frame: pd.DataFrame, algo: str, **changes: object) -> pd.DataFrame:
    return frame.assign(**CELL, algo=algo).assign(**changes)


def exact(objective: str, law, n: int = 5) -> pd.DataFrame:
    std = 10.0 ** -np.arange(1, n + 1)
    return pd.DataFrame({"objective": objective, "method": "ode", "eps": std**2 / 4, "std": std, "time": law(std)})


def test_exact_laws_give_their_slopes_and_points_as_intervals() -> None:
    both = pd.concat([exact("rft", lambda s: 1.5 / s**2), exact("sft", lambda s: 1.6 * np.log(1 / s) + 2)])
    fits = theory.separation_fits(theory.separation_points(cases(both, "time_separation"))).set_index("objective")
    assert fits.loc["rft", ["slope", "slope_low", "slope_high"]].tolist() == pytest.approx([-2, -2, -2])
    assert fits.loc["sft", ["slope", "intercept", "r2", "n_points"]].tolist() == pytest.approx([1.6, 2, 1, 5])
    assert fits.loc["rft", ["std_low", "std_high"]].tolist() == pytest.approx([1e-5, 0.1])


def test_the_interval_of_a_slope_is_students() -> None:
    fit = theory.linear_fit(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 1.0, 3.0]))
    error = math.sqrt(0.7 / 2 / 5)  # residuals 0.1, 0.2, -0.7, 0.4 of the line 0.9 x - 0.1; 4.303 is t of 2 degrees
    assert fit["slope"] == pytest.approx(0.9)
    assert fit["slope_high"] - fit["slope"] == pytest.approx(4.3027 * error, rel=1e-4)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_points_have_no_interval(n: int) -> None:
    fit = theory.linear_fit(np.arange(n, dtype=float), np.arange(n, dtype=float))
    assert math.isnan(fit["slope_low"]) and fit["n_points"] == n
    assert math.isnan(fit["slope"]) == (n < 2)


def test_repeated_runs_are_averaged_and_do_not_narrow_the_interval() -> None:
    noisy = kinds.separation_cases(np.random.default_rng(0))
    alone = theory.separation_fits(theory.separation_points(cases(noisy, "time_separation")))
    twice = pd.concat([cases(noisy, "time_separation"), cases(noisy, "time_separation", run_key="k1", seed=1)])
    points = theory.separation_points(twice)
    assert set(points["n"]) == {2} and set(points["run_keys"]) == {"k0 k1"}
    pd.testing.assert_frame_equal(theory.separation_fits(points), alone)


def test_times_that_never_came_leave_the_fit_and_are_counted() -> None:
    frame = exact("rft", lambda s: 1.5 / s**2).assign(time=lambda f: f["time"].mask(f["std"] < 1e-4, np.inf))
    points = theory.separation_points(cases(frame, "time_separation"))
    assert points["n_nonfinite"].sum() == 1
    fit = theory.separation_fits(points).iloc[0]
    assert (fit["n_points"], fit["slope"]) == (4, pytest.approx(-2))


def test_descent_is_compared_with_the_flow_where_both_ended() -> None:
    flow = exact("rft", lambda s: 1.5 / s**2)
    descent = flow.iloc[:3].assign(method="descent", time=flow["time"].iloc[:3] * [1.01, 0.98, 1.0])
    fits = theory.separation_fits(theory.separation_points(cases(pd.concat([flow, descent]), "time_separation")))
    assert fits.set_index("method")["off_flow"].to_dict() == pytest.approx({"ode": 0, "descent": 0.02})


@pytest.mark.parametrize(
    ("value", "bound", "error", "verdict"),
    [
        (1.0, 2.0, math.nan, "under"),
        (1.0, 1.0 - 1e-7, math.nan, "under"),  # rounding
        (1.1, 1.0, math.nan, "violated"),
        (1.1, 1.0, 0.06, "above"),  # by 1.7 standard errors
        (1.1, 1.0, 0.04, "violated"),
        (0.0, 0.0, math.nan, "under"),
        (math.nan, 1.0, math.nan, "unknown"),
        (1.0, math.inf, math.nan, "unknown"),
    ],
)
def test_verdicts(value: float, bound: float, error: float, verdict: str) -> None:
    assert list(theory.verdicts(*(pd.Series([number]) for number in (value, bound, error)))) == [verdict]


def test_both_forms_of_the_bound_are_judged_for_every_input() -> None:
    frame = pd.DataFrame({"reward_mean": [0.0, 0.0], "reward_std": [0.1, 0.0], "grad_norm": [0.2, 0.0]})
    frame = frame.assign(bound_std=[0.1, 0.0], bound_two_thirds=[1.0, 0.0])
    points = theory.bound_points(cases(frame, "gradient_bound"))
    counts = theory.verdict_counts(points, "grad_norm", ["form"]).set_index("form")
    assert counts["violated"].to_dict() == {"bound_std": 1, "bound_two_thirds": 0}
    assert counts[["n", "tiny"]].to_numpy().tolist() == [[2, 1], [2, 1]]
    assert counts["worst"].to_dict() == pytest.approx({"bound_std": 2.0, "bound_two_thirds": 0.2})
    assert set(points["group"]) == {"all"} and points["grad_error"].isna().all()


def test_ppo_distances_are_judged() -> None:
    frame = pd.DataFrame({"tv": [0.1, 0.2], "distance": [0.1, 9.0], "gradient_norm": 1.0, "bound": [4.0, 8.0]})
    points = theory.ppo_points(cases(frame.assign(clip_range=0.2, n_labels=6), "ppo_gradient"))
    assert list(points["verdict"]) == ["under", "violated"]
