"""Reward for the KL that it costs, as one number per run; and runs that lost what they had gained."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.statistics import stats
from analysis.statistics.evaluations import KL, REWARD
from rftlab import intervals

LOST = 0.5  # of the usual gain; see `collapses`
IN_PANEL = [*stats.SWEEP_PANEL, "algo", "heuristic", "variant", "cell"]


def mean_gain(kl: Float[np.ndarray, " n"], reward: Float[np.ndarray, " n"], upto: float) -> float:
    """Average the reward gained since the start over the KL from 0 to `upto`: the area below the curve, divided by it.

    The curve joins the evaluations of a run by straight lines in the order of their KL. It begins at the first one,
    which is the start: its KL is 0, whatever was estimated. Estimates below 0 count as 0; where two have one KL their
    rewards are averaged. NaN where the curve does not reach `upto`: nothing is extrapolated.
    """
    places = np.maximum(np.concatenate([[0.0], kl[1:]]), 0.0)
    if not 0 < upto <= places.max():
        return float("nan")
    x, where = np.unique(places, return_inverse=True)
    y = np.bincount(where, reward - reward[0]) / np.bincount(where)
    below = x < upto
    return float(np.trapezoid([*y[below], np.interp(upto, x, y)], [*x[below], upto]) / upto)


def runs_of(evaluations: pd.DataFrame, lost: float = LOST) -> pd.DataFrame:
    """Reduce the evaluations of one sweep and panel to a row per run.

    `evaluations` is what `evaluations.of_sweeps` returns, of one part of SWEEP_PANEL.

    Returns IN_PANEL, seed, run_key, reach (largest KL; NaN where none was told), common (KL that all runs reach which
    told one), gain (`mean_gain` up to it), inside (evaluations strictly between), best, end, fall (best minus end),
    limit (of a fall), collapsed.
    """
    rows = []
    for _, run in evaluations.groupby(["sweep", "run_key"], sort=True):
        wide = run.pivot(index="step", columns="metric", values="value").reindex(columns=[REWARD, KL]).sort_index()
        wide[KL] = wide[KL].mask(wide.index == 0, 0.0)  # the start, by definition
        curve = wide.dropna()
        told = run["metric"].eq(KL).any() and 0 in curve.index and len(curve) > 1
        found = {"start": wide[REWARD].iloc[0], "best": wide[REWARD].max(), "end": wide[REWARD].iloc[-1]}
        found |= {"reach": curve[KL].max() if told else np.nan, "curve": curve if told else None}
        rows.append(run.iloc[0][[*IN_PANEL, "seed", "run_key"]].to_dict() | found)
    common = min((row["reach"] for row in rows if np.isfinite(row["reach"])), default=np.nan)
    for row in rows:
        curve = row.pop("curve")
        row["common"] = common
        row["gain"] = np.nan if curve is None else mean_gain(curve[KL].to_numpy(), curve[REWARD].to_numpy(), common)
        row["inside"] = np.nan if curve is None else int(((curve[KL] > 0) & (curve[KL] < common)).sum())
    return collapses(pd.DataFrame(rows), lost)


def collapses(runs: pd.DataFrame, lost: float = LOST) -> pd.DataFrame:
    """Say which runs ended more than a limit below their best evaluation.

    The limit is `lost` times the usual gain of the runs given: the median over them of best minus start. So it has the
    unit of their reward, and a wobble of a run that gained nothing is no collapse. Half of it: a run
    that gained as the usual one does and then lost more than it kept. There is none (NaN) where the usual run gained
    nothing.

    Returns `runs` with fall, limit and collapsed (NaN where there is no limit).
    """
    usual = float((runs["best"] - runs["start"]).median())
    limit = lost * usual if usual > 0 else np.nan
    fall = runs["best"] - runs["end"]
    collapsed = (fall > limit).astype(float) if np.isfinite(limit) else np.nan
    return runs.assign(fall=fall, limit=limit, collapsed=collapsed)


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Reduce `runs_of` to a row per cell.

    Returns IN_PANEL, n, common, reach (smallest over seeds), inside (the same), gain with low and high (95 %, Student's
    t over seeds), more with more_low and more_high (the gain minus that of PPO, where one setting of it is here; NaN in
    its own row), collapsed (runs), collapsed_low and _high (Wilson's interval of the share), limit, run_keys.
    """
    ppo = runs[runs["algo"] == "ppo"]
    base = _by_seed(ppo) if ppo["cell"].nunique() == 1 else {}
    rows = []
    for _, cell in runs.groupby("cell", sort=True):
        gains, n = cell["gain"].dropna(), len(cell)
        found = intervals.mean(gains.to_numpy())
        row = cell.iloc[0][IN_PANEL].to_dict() | {"n": n, "n_gain": len(gains), "common": cell["common"].iloc[0]}
        row |= {"reach": cell["reach"].min(), "inside": cell["inside"].min(), "limit": cell["limit"].iloc[0]}
        row |= {"gain": found.value, "low": found.low, "high": found.high}
        other = cell["algo"].iloc[0] != "ppo" and bool(base) and len(gains) > 0
        more = intervals.difference(_by_seed(cell), base).estimate if other else intervals.Estimate(np.nan)
        row |= {"more": more.value, "more_low": more.low, "more_high": more.high}
        fell = cell["collapsed"].sum(min_count=1)
        low, high = intervals.wilson(fell / n, n) if np.isfinite(fell) else (np.nan, np.nan)
        row |= {"collapsed": fell, "collapsed_low": low, "collapsed_high": high}
        rows.append(row | {"run_keys": " ".join(sorted(cell["run_key"]))})
    return pd.DataFrame(rows)


def _by_seed(cell: pd.DataFrame) -> Mapping[int, float]:
    known = cell.dropna(subset="gain")
    return dict(zip(known["seed"], known["gain"], strict=True))
