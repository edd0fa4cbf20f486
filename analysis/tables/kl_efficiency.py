"""Reward gained up to a KL that all runs of a sweep reach, with an interval over seeds; and how many runs collapsed."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.drawing import layout, style
from analysis.drawing.table import NONE, Table, interval, number, of_cells
from analysis.statistics import efficiency, evaluations, stats
from analysis.statistics.frames import Frames

METRICS = evaluations.SHOWN
WANTED = ()


def draw(frames: Frames) -> Iterator[Table]:
    """Lay out each scale and source: every sweep in which several settings were evaluated on one dataset and model."""
    parts = stats.parts(evaluations.of_sweeps(frames), stats.SWEEP_PANEL)
    several = [part for part in parts if part["cell"].nunique() > 1 and part["step"].nunique() > 1]
    if several:
        cells = pd.concat([efficiency.over_seeds(efficiency.runs_of(part)) for part in several], ignore_index=True)
        yield from map(laid_out, stats.parts(cells, stats.KIND))


def laid_out(cells: pd.DataFrame) -> Table:
    """Lay out the cells of one scale and source, a row each, those of one sweep, dataset and model together."""
    caption = (
        "Mean gain: the reward of test prompts gained since the start, averaged over the KL to the start from 0 to "
        "the common KL, in nats per response (the area below the reward-KL curve, divided by that KL); mean over the n "
        "seeds with a 95 % interval (Student's t), and its difference from PPO (of shared seeds where there are two). "
        "The common KL is the largest that all runs of the sweep reach which told one; KL reached: the least of the "
        "seeds. Points: evaluations below the common KL, the fewest of the seeds; with 0 it is one straight "
        "line. A dash: no KL was told, or a run of the sweep never moved. Collapsed: finished runs whose last reward "
        f"is more than the limit below their best, {efficiency.LOST:g} of the usual gain of the sweep's runs; with the "
        "share's 95 % interval (Wilson). Runs that ended with an error are in no row."
    )
    return of_cells("table_kl_efficiency", cells, [stats.HELD], _row, caption)


def _row(row: dict) -> dict[str, str]:
    label = layout.setting_label(row["algo"], row["variant"])
    told = np.isfinite(row["gain"])
    fewer = f" (n={row['n_gain']})" if row["n_gain"] < row["n"] else ""
    known = np.isfinite(row["collapsed"])
    share = f"{row['collapsed']:.0f} of {row['n']} ({row['collapsed_low']:.2f} to {row['collapsed_high']:.2f})"
    return {
        "sweep": row[stats.HELD],
        "data": style.name(row["data"]),
        "model": row["model"],
        "algorithm": layout.with_beginning(label, row["heuristic"]),
        "KL reached": number(row["reach"], ".2f"),
        "common KL": number(row["common"], ".2f"),
        "mean gain": interval(row["gain"], row["low"], row["high"], "+.3f") + fewer if told else NONE,
        "minus PPO": interval(row["more"], row["more_low"], row["more_high"], "+.3f")
        if np.isfinite(row["more"])
        else NONE,
        "points": number(row["inside"], ".0f"),
        "collapsed": share if known else NONE,
        "limit": number(row["limit"]),
        "n": str(row["n"]),
    }
