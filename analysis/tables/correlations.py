"""Razin et al. 2024, Table 1: a row per algorithm, a column per dataset and model."""

from collections.abc import Iterator

import pandas as pd

from analysis.drawing import layout, style
from analysis.drawing.table import NONE, Table, interval, kind_name
from analysis.missing.wanted import LANGUAGE
from analysis.statistics import stats, vanishing
from analysis.statistics.frames import Frames

WANTED = LANGUAGE


def draw(frames: Frames) -> Iterator[Table]:
    """Lay out each scale and source."""
    return map(laid_out, stats.parts(frames.once(vanishing.foretold_changes), stats.KIND))


def laid_out(table: pd.DataFrame) -> Table:
    """Lay out Table 1: a row per algorithm, a column per dataset and model; of one scale and source."""
    order = style.algo_order(list(table["algo"]))
    ranked = table.assign(rank=table["algo"].map(order.index)).sort_values(["rank", "variant", "data", "model"])
    cells: dict[str, dict[str, str]] = {}
    for row in ranked.to_dict("records"):
        name = layout.setting_label(row["algo"], row["variant"])
        cells.setdefault(name, {})[layout.model_label(row["data"], row["model"])] = _correlation(row)
    columns = sorted({column for row in cells.values() for column in row})
    rows = [{"algorithm": name} | {column: row.get(column, NONE) for column in columns} for name, row in cells.items()]
    caption = (
        "Pearson correlation, over train prompts, of the reward std before finetuning with how far the mean reward "
        "moved; mean over n runs, with the 95 % bootstrap interval over prompts."
    )
    return Table(kind_name("table_correlations", table), caption, pd.DataFrame(rows), table["run_keys"])


def _correlation(row: dict) -> str:
    """Write one correlation, or why there is none."""
    if row["n"] == 0:
        return f"undefined: {row['undefined']}"
    return f"{interval(row['r'], row['low'], row['high'])} (n={row['n']})"
