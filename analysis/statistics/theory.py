"""Statistics of the theory runs, from their tables of cases.

Time separation (Razin et al. 2024, section 4.3): log time of RFT is linear in log std with slope -2, time of SFT is
linear in ln(1/std). Bounds (Theorem 1, Proposition 1): every measured gradient norm or distance lies under its bound.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.statistics.frames import Frames
from analysis.statistics.stats import CELL, PANEL, run_keys
from rftlab import intervals

BOUNDS = {"bound_std": "STD", "bound_two_thirds": "STD^(2/3)"}  # columns of Theorem 1's two forms
ROUNDING = 1e-5  # a value above its bound by less than this share of it is rounding
ERRORS = 2.0  # an estimate violates a bound when it exceeds it by more than so many standard errors
FIT = ["slope", "slope_low", "slope_high", "intercept", "r2", "n_points"]
SPAN = ["std_low", "std_high", "off_flow"]
FLOOR = 1e-12  # norms and distances under it are rounding: a figure leaves them out


def of_algo(cases: pd.DataFrame, *algos: str) -> pd.DataFrame:
    """Keep the cases of these algorithms."""
    return cases[cases["algo"].isin(algos)]


def separation(frames: Frames) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the points of the time separation and the lines fitted to them."""
    points = separation_points(frames.cases)
    return points, separation_fits(points)


def separation_points(cases: pd.DataFrame) -> pd.DataFrame:
    """Average the times of repeated runs: CELL, objective, method, eps, std, time, n, n_nonfinite, run_keys.

    A time that is not finite (the simulation ended first) enters no average.
    """
    rows = of_algo(cases, "time_separation")
    by = [*CELL, "objective", "method", "eps"]
    rows = rows.reindex(columns=[*by, "std", "time", "run_key"])
    rows = rows.assign(finite_time=rows["time"].where(np.isfinite(rows["time"])))
    points = rows.groupby(by).agg(
        std=("std", "mean"), time=("finite_time", "mean"), n=("finite_time", "count"), size=("time", "size")
    )
    points = points.reset_index().merge(run_keys(rows, by), on=by)
    return points.assign(n_nonfinite=points.pop("size") - points["n"])


def separation_fits(points: pd.DataFrame) -> pd.DataFrame:
    """Fit ln(time) against ln(std) for RFT, time against ln(1/std) for SFT, with 95 % intervals of the slope.

    Returns CELL, objective, method, FIT (NaN where there are too few points), std_low and std_high (range of the
    points), off_flow (the most that a time differs from that of the flow for the same eps, relative to it; NaN
    where no eps is shared).
    """
    records = []
    for _, rows in points[points["n"] > 0].groupby([*CELL, "objective", "method"]):
        first = rows[[*CELL, "objective", "method"]].iloc[0].to_dict()
        span = {"std_low": rows["std"].min(), "std_high": rows["std"].max(), "off_flow": _off_flow(rows, points)}
        records.append(first | linear_fit(*separation_axes(rows)) | span)
    return pd.DataFrame(records, columns=[*CELL, "objective", "method", *FIT, *SPAN])


def _off_flow(rows: pd.DataFrame, points: pd.DataFrame) -> float:
    """Return the largest relative difference between the times of one method and those of the flow."""
    keys = ["cell", "objective", "eps"]
    flow = points.loc[(points["method"] == "ode") & (points["n"] > 0), [*keys, "time"]]
    both = rows.merge(flow, on=keys, suffixes=("", "_flow"))
    return float((both["time"] / both["time_flow"] - 1).abs().max())


def separation_axes(points: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return what the law of an objective says is linear: (ln std, ln time) for RFT, (ln 1/std, time) for SFT."""
    std, time = points["std"].to_numpy(float), points["time"].to_numpy(float)
    if (points["objective"] == "rft").all():
        return np.log(std), np.log(time)
    return -np.log(std), time


def linear_fit(x: Float[np.ndarray, " k"], y: Float[np.ndarray, " k"], level: float = 0.95) -> dict[str, float]:
    """Fit a line by least squares; the interval of the slope is Student's, NaN under 3 points."""
    fit = intervals.line(x, y, level)
    values = [fit.slope.value, fit.slope.low, fit.slope.high, fit.intercept, fit.r2, len(x)]
    return dict(zip(FIT, values, strict=True))


def bound_points(cases: pd.DataFrame) -> pd.DataFrame:
    """Give one row per case and form of Theorem 1's bound: column `form` (of BOUNDS), bound, verdict.

    The verdict is that of `verdicts`; of what a table may lack, input_id is then empty, group `all`, grad_error NaN.
    """
    kept = [*CELL, "seed", "run_key", "input_id", "group", "reward_mean", "reward_std", "grad_norm", "grad_error"]
    rows = cases.reindex(columns=[*kept, *BOUNDS]).astype(dict.fromkeys(["input_id", "group"], object))
    rows = rows.fillna({"input_id": "", "group": "all"})
    points = pd.concat([rows[kept].assign(form=form, bound=rows[form]) for form in BOUNDS], ignore_index=True)
    return points.assign(verdict=verdicts(points["grad_norm"], points["bound"], points["grad_error"]))


def ppo_points(cases: pd.DataFrame) -> pd.DataFrame:
    """Give the cases of the PPO gradient with a verdict: is the distance under its bound?"""
    rows = of_algo(cases, "ppo_gradient")
    kept = ["tv", "distance", "gradient_norm", "bound", "clip_range", "n_labels"]
    points = rows.reindex(columns=[*CELL, "seed", "run_key", *kept])
    return points.assign(verdict=verdicts(points["distance"], points["bound"], pd.Series(np.nan, points.index)))


def verdicts(values: pd.Series, bounds: pd.Series, errors: pd.Series) -> pd.Series:
    """Judge each value: under, above (but within its error of the bound), violated, or unknown where not finite."""
    values, bounds, errors = (series.astype("float64") for series in (values, bounds, errors))
    excess = values - bounds * (1 + ROUNDING)
    result = pd.Series("under", values.index, dtype=object)
    result[excess > 0] = "above"
    result[excess > ERRORS * errors.fillna(0)] = "violated"
    result[~(np.isfinite(values) & np.isfinite(bounds))] = "unknown"
    return result


def verdict_counts(points: pd.DataFrame, value: str, by: list[str] | None = None) -> pd.DataFrame:
    """Count the verdicts of each panel: n, under, above, violated, unknown; tiny (under FLOOR), worst (ratio)."""
    keys = [*PANEL, "algo", "variant", *(by or [])]
    records = []
    for _, rows in points.groupby(keys):
        known = rows[rows["verdict"] != "unknown"]
        counts = {verdict: int((rows["verdict"] == verdict).sum()) for verdict in VERDICTS}
        ratios = known.loc[known["bound"] > 0, value] / known.loc[known["bound"] > 0, "bound"]
        more = {"n": len(rows), "tiny": int((known[value] < FLOOR).sum()), "worst": ratios.max()}
        records.append(rows[keys].iloc[0].to_dict() | counts | more)
    return pd.DataFrame(records, columns=[*keys, *VERDICTS, "n", "tiny", "worst"])


VERDICTS = ["under", "above", "violated", "unknown"]
