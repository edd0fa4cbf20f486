"""What evaluations say of the policies of a sweep, over the seeds of each cell."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.statistics import stats
from analysis.statistics.frames import Frames

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
    reduced = stats.curves(rows, list(rows["metric"].unique()), [stats.HELD, *stats.CELL])
    return reduced.drop(columns="n_nonfinite")  # of these rows every value is finite
