"""What evaluations say of the policies of a sweep, over the seeds of each cell."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.statistics import stats
from analysis.statistics.frames import Frames
from rftlab import intervals

REWARD, KL = "eval/test/reward", "policy/kl"
SHOWN = [REWARD, KL]


def of_sweeps(frames: Frames, shown: Sequence[str] = SHOWN) -> pd.DataFrame:
    """Take metrics, reward and KL if no others are named, at the steps of evaluations, for every sweep with the run.

    Returns the columns of metrics and HELD; values that are not finite are left out.
    """
    rows = stats.of_family(frames.metrics, "language")
    rows = rows[rows["metric"].isin(shown) & np.isfinite(rows["value"])]
    looked = rows.loc[rows["metric"] == REWARD, ["run_key", "sweep", "step"]]
    return stats.in_every_sweep(rows.merge(looked, on=["run_key", "sweep", "step"]), frames.runs)


def over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Reduce `of_sweeps` over the seeds of each cell at each step.

    Returns HELD, CELL, metric, step, mean, low, high (95 % interval of the mean over seeds, Student's t; NaN with one
    seed), min, max, n, run_keys.
    """
    by = [stats.HELD, *stats.CELL, "metric"]
    grouped = rows.groupby([*by, "step"], sort=True)["value"]
    reduced = grouped.agg(["mean", "min", "max", "size", intervals.half_width]).reset_index()
    reduced = reduced.rename(columns={"size": "n"})
    half = reduced.pop("half_width")
    reduced = reduced.assign(low=reduced["mean"] - half, high=reduced["mean"] + half)
    return reduced.merge(stats.run_keys(rows, by), on=by, how="left")
