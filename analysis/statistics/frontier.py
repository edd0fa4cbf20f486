"""Reward against the KL to the start: where an algorithm stood at each evaluation."""

import numpy as np
import pandas as pd

from analysis.statistics import stats
from analysis.statistics.frames import Frames
from rftlab import intervals

REWARDS = ["eval/validation/reward", "eval/test/reward"]
KL = "policy/kl"
REWARD = REWARDS[1]


def points(frames: Frames) -> pd.DataFrame:
    """Pair the test reward of each evaluation with the KL of the same policy, a row per sweep, run and step.

    Returns HELD, the identity columns of runs, step, kl, reward. Runs that never say their KL, as SFT, have none.
    """
    rows = stats.of_family(frames.metrics, "language")
    wide = [rows[rows["metric"] == metric].drop(columns="metric") for metric in (REWARD, KL)]
    reward, kl = (part.rename(columns={"value": name}) for part, name in zip(wide, ("reward", "kl"), strict=True))
    paired = reward.merge(kl[["run_key", "sweep", "step", "kl"]], on=["run_key", "sweep", "step"])
    finite = paired[np.isfinite(paired["kl"]) & np.isfinite(paired["reward"])]
    return stats.in_every_sweep(finite, frames.runs).reset_index(drop=True)


def silent(frames: Frames) -> pd.DataFrame:
    """List the algorithms of each sweep and panel with a test reward and without a KL beside it.

    Returns SWEEP_PANEL, algo.
    """
    told = [*stats.SWEEP_PANEL, "algo"]
    rows = stats.of_family(frames.metrics, "language")
    rewarded = stats.in_every_sweep(rows[rows["metric"] == REWARD], frames.runs)[told].drop_duplicates()
    paired = rewarded.merge(points(frames)[told].drop_duplicates(), on=told, how="left", indicator=True)
    return paired.loc[paired["_merge"] == "left_only", told]


def over_seeds(points: pd.DataFrame) -> pd.DataFrame:
    """Average KL and reward over the seeds of each cell of a sweep at each step.

    Returns HELD, CELL, step, kl, reward, reward_min, reward_max, n, run_keys.
    """
    cell = [stats.HELD, *stats.CELL]
    by_step = points.groupby([*cell, "step"], sort=True)
    reduced = by_step.agg(
        kl=("kl", "mean"),
        reward=("reward", "mean"),
        reward_min=("reward", "min"),
        reward_max=("reward", "max"),
        n=("run_key", "size"),
    ).reset_index()
    return reduced.merge(stats.run_keys(points, cell), on=cell, how="left")


def outcomes(frames: Frames) -> pd.DataFrame:
    """Reduce finished language runs to a row per cell: rewards before and after, KL, seconds, memory.

    Returns CELL, `start` and `end` of the test reward, the change `gain` with its 95 % interval `low` to `high` over
    seeds (Student's t; NaN with one seed), kl, seconds, peak_mib, n, run_keys.
    """
    runs = stats.finished(stats.of_family(frames.runs, "language"))
    ends = stats.start_and_end(frames.metrics, [REWARD])
    ends = ends[ends["run_key"].isin(runs["run_key"])]
    names = {"policy/kl": "kl", "cost/seconds": "seconds", "cost/peak_mib": "peak_mib"}
    known = runs.reindex(columns=["run_key", "sweep", *names]).rename(columns=names)
    rows = ends.merge(known, on=["run_key", "sweep"]).assign(gain=lambda row: row["end"] - row["start"])
    rows = rows[np.isfinite(rows["gain"])]
    by_cell = rows.groupby(stats.CELL, sort=True)
    reduced = by_cell.agg(
        **{name: (name, "mean") for name in ("start", "end", "gain", "kl", "seconds", "peak_mib")},
        error=("gain", intervals.half_width),
        n=("run_key", "size"),
    ).reset_index()
    reduced = reduced.assign(low=reduced["gain"] - reduced["error"], high=reduced["gain"] + reduced["error"])
    return reduced.drop(columns="error").merge(stats.run_keys(rows, stats.CELL), on=stats.CELL, how="left")
