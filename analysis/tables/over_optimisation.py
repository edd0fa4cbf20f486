"""Gains of the optimised reward (proxy) and of a gold reward, what came after the best evaluation, and a verdict."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.drawing import layout, style
from analysis.drawing.table import NONE, Table, interval, number, of_cells
from analysis.missing.wanted import APA_GOLD
from analysis.statistics import gold, stats
from analysis.statistics.frames import Frames

METRICS = gold.METRICS
WANTED = APA_GOLD


def draw(frames: Frames) -> Iterator[Table]:
    """Lay out each scale and source: every sweep whose runs a gold reward scored at the start and later."""
    rows = frames.once(gold.gains)
    moved = rows[rows.groupby([stats.HELD, "cell"])["step"].transform("max") > 0]
    if len(moved):
        yield from map(laid_out, stats.parts(gold.over_seeds(gold.runs_of(moved)), stats.KIND))


def laid_out(cells: pd.DataFrame) -> Table:
    """Lay out the cells of one scale and source, a row each, those of one sweep, dataset and model together."""
    caption = (
        "Proxy: the reward that was optimised; gold: a second reward model, of other pairs, which taught nothing. Each "
        "is in the units of its own scores, on test prompts. Gain: from the start to the last evaluation. Best: the "
        "evaluation with the highest gold reward of validation prompts, the first of several; what comes after it is "
        "measured on test prompts, which did not choose it. KL to the start at the best and at the last evaluation, in "
        "nats per response. Means over the n seeds with 95 % intervals (Student's t). "
        f"{gold.OVER.capitalize()}: after the best evaluation the proxy rises and gold falls, both intervals apart "
        f"from 0; {gold.KEEPS}: the interval begins at 0 or above; {gold.OPEN}: neither."
    )
    return of_cells("table_over_optimisation", cells, [stats.HELD], _row, caption)


def _row(row: dict) -> dict[str, str]:
    label = layout.setting_label(row["algo"], row["variant"])
    return {
        "sweep": row[stats.HELD],
        "data": style.name(row["data"]),
        "model": row["model"],
        "algorithm": layout.with_beginning(label, row["heuristic"]),
        "proxy gain": _change(row, "proxy_gain"),
        "gold gain": _change(row, "gold_gain"),
        "best step": _steps(row),
        "KL": f"{number(row['best_kl'], '.2f')} → {number(row['end_kl'], '.2f')}",
        "proxy after": _change(row, "proxy_after"),
        "gold after": _change(row, "gold_after"),
        "verdict": row["verdict"] or NONE,
        "n": str(row["n"]),
    }


def _change(row: dict, name: str) -> str:
    return interval(row[name], row[f"{name}_low"], row[f"{name}_high"], "+.3f") if np.isfinite(row[name]) else NONE


def _steps(row: dict) -> str:
    known = np.isfinite(row["first_best"])
    return layout.span(int(row["first_best"]), int(row["last_best"])) if known else NONE
