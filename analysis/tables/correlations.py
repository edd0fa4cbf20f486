"""Razin et al. 2024, Table 1, with what chance gives: a row per algorithm, a column per dataset and model."""

import math
from collections.abc import Iterator

import pandas as pd

from analysis.drawing import layout, style
from analysis.drawing.table import NONE, Table, interval, kind_name
from analysis.missing.wanted import LANGUAGE
from analysis.statistics import stats, vanishing
from analysis.statistics.frames import Frames
from analysis.statistics.stats import STD_BELOW

WANTED = LANGUAGE
CROSSING = f"crosses std {STD_BELOW:g} by chance"


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
    if table["n_null"].any():
        rows.append({"algorithm": CROSSING} | {column: _crossing(table, column) for column in columns})
        caption += (
            " Chance: the same correlation for the untrained policy, drawn a second time instead of trained; a "
            "correlation says something of training as far as it is above that. Last row: prompts whose std is on the "
            f"other side of {STD_BELOW:g} in that second draw."
        )
    return Table(kind_name("table_correlations", table), caption, pd.DataFrame(rows), table["run_keys"])


def _correlation(row: dict) -> str:
    """Write one correlation, or why there is none."""
    if row["n"] == 0:
        return f"undefined: {row['undefined']}"
    chance = f", chance {interval(row['null'], row['null_low'], row['null_high'])}" if row["n_null"] else ""
    return f"{interval(row['r'], row['low'], row['high'])}{chance} (n={row['n']})"


def _crossing(table: pd.DataFrame, column: str) -> str:
    """Write the share of prompts of a dataset and model that cross the threshold between two draws, over all runs."""
    here = [layout.model_label(*names) == column for names in zip(table["data"], table["model"], strict=True)]
    share = table.loc[here, "crossing"].mean()
    return NONE if math.isnan(share) else f"{100 * share:.0f} %"
