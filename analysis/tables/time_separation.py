"""Slopes of the time separation, with 95 % intervals, R2, number of points and their range."""

from collections.abc import Iterator

import pandas as pd

from analysis.drawing.table import NONE, Table, interval, kind_name, number
from analysis.missing.wanted import of_theory
from analysis.statistics import stats, theory
from analysis.statistics.frames import Frames

WANTED = (of_theory("time_separation"),)
NOT_COMPARED = pd.Series(dtype=str)  # a row is a model of its own


def draw(frames: Frames) -> Iterator[Table]:
    """Lay out each scale and source."""
    return map(laid_out, stats.parts(frames.once(theory.separation)[1], stats.KIND))


def laid_out(fits: pd.DataFrame) -> Table:
    """Lay out the slopes of the time separation: a row per model, objective and method; of one scale and source."""
    laws = {"rft": "ln(time) on ln(std)", "sft": "time on ln(1/std)"}
    rows = [
        {"data": row["data"], "model": row["model"], "setting": row["variant"] or NONE}
        | {"objective": row["objective"].upper(), "method": row["method"], "fit": laws[row["objective"]]}
        | {"slope": interval(row["slope"], row["slope_low"], row["slope_high"], ".3f")}
        | {"R2": number(row["r2"], ".5f"), "points": str(row["n_points"])}
        | {"std from": number(row["std_low"], ".3g"), "to": number(row["std_high"], ".3g")}
        for row in fits.sort_values(["data", "model", "variant", "objective", "method"]).to_dict("records")
    ]
    caption = (
        "Time until the correct label leads, against the initial reward std: slopes with 95 % intervals of the fit."
    )
    return Table(kind_name("table_time_separation", fits), caption, pd.DataFrame(rows), NOT_COMPARED)
