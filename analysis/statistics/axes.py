"""Runs of a sweep by the settings in which they were asked to differ: its axes.

Only finished runs whose metric is finite enter. Intervals are those of `rftlab.intervals`, over seeds.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.statistics import stats
from rftlab import intervals
from rftlab.errors import UserError
from rftlab.runs import Words, asked_axes, axes_of, meaning_of, spelled

Y = "eval/test/reward"
GEOMETRIC = 4.0  # two neighbours this far apart, or further, are spaced by their ratio
KEPT = [*stats.PANEL, "algo", "heuristic", "variant"]  # identity columns beside those of the axes
UNSET = "unset"  # the value of a setting that a cell does not have


@dataclass(frozen=True)
class Axis:
    """A setting with its values in order."""

    key: str
    values: tuple[Any, ...]

    @property
    def numeric(self) -> bool:
        """Say whether every value is a number."""
        return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in self.values)

    @property
    def geometric(self) -> bool:
        """Say whether the values are positive numbers that grow by ratios, so that their logarithm is the axis."""
        if not self.numeric or min(self.values) <= 0:
            return False
        ratios = [high / low for low, high in zip(self.values, self.values[1:], strict=False)]
        return min(ratios) >= GEOMETRIC or (len(ratios) > 1 and max(ratios) / min(ratios) < 1.5 < min(ratios))

    @property
    def labels(self) -> list[str]:
        """The values as words."""
        return [word(value) for value in self.values]


@dataclass(frozen=True)
class Grid:
    """Runs whose numbers mean the same, by their axes."""

    sweep: str
    part: int  # which reward of the sweep's data this is: 1, 2, ...
    y: str
    axes: tuple[Axis, ...]
    averaged: tuple[str, ...]  # settings over which each seed is averaged
    runs: pd.DataFrame  # identity columns, a column per axis (its words), value, run_keys: a row per cell and seed
    cells: pd.DataFrame  # a column per axis, mean, low, high, n, run_keys


def word(value: Any) -> str:
    """Write a value of a setting."""
    return UNSET if value is None else spelled(value)


def grids(runs: pd.DataFrame, y: str = Y, keys: Sequence[str] | None = None) -> list[Grid]:
    """Part runs by sweep and by what their numbers mean; each part with its axes, or with those of `keys`.

    Runs that others learn from are left out.

    Raises:
        UserError: No run has a setting of `keys`.
    """
    if y not in runs or runs.empty:
        return []
    usable = runs[np.isfinite(pd.to_numeric(runs[y], errors="coerce"))].reset_index(drop=True)
    words = [
        Words({key: json.loads(text) for key, text in row["settings"].items()}, row["overrides"], row["cell"])
        for row in usable.to_dict("records")
    ]
    parents = learned_from(usable)
    groups: dict[tuple, list[int]] = {}
    for place, (sweep, key, run) in enumerate(zip(usable["sweep"], usable["run_key"], words, strict=True)):
        if key not in parents:  # such a run is no setting beside those that learn from it
            groups.setdefault((sweep, *meaning_of(run.flat)), []).append(place)
    for key in keys or ():
        if all(run.value(key) is None for run in words):
            known = ", ".join(asked_axes(words)) or "keys of config.yaml"
            raise UserError(f"{key}, which no run has", f"settings of the runs, such as {known}", "--x, or --hue")
    named = [group[:4] for group in groups]  # sweep, data, source, scale
    made = (
        _grid(usable.loc[places], [words[p] for p in places], y, keys, named[: number + 1].count(named[number]))
        for number, places in enumerate(groups.values())
    )
    return [grid for grid in made if grid.axes and len(grid.cells) > 1]


def learned_from(runs: pd.DataFrame) -> set[str]:
    """Collect the keys of the runs that some of `runs` begin with, or have as a reward or a gold reward."""
    settings = (item for own in runs["settings"] for item in own.items())
    found = {json.loads(text) for key, text in settings if key == "init_from" or key.endswith(".run")}
    return found - {None}


def _grid(runs: pd.DataFrame, words: Sequence[Words], y: str, keys: Sequence[str] | None, part: int) -> Grid:
    told = axes_of(words)
    names = list(keys or told)
    axes = tuple(Axis(key, _ordered({run.value(key) for run in words})) for key in names)
    columns = {key: [word(run.value(key)) for run in words] for key in names}
    rows = runs.assign(**columns, value=runs[y].astype(float))
    return Grid(
        runs["sweep"].iloc[0], part, y, axes, *_averaged(rows, names, [key for key in told if key not in names])
    )


def _averaged(
    rows: pd.DataFrame, names: list[str], over: list[str]
) -> tuple[tuple[str, ...], pd.DataFrame, pd.DataFrame]:
    """Average each seed over the settings that are no axis; a seed that lacks one of them in its cell is left out."""
    if rows.empty or not names:
        return (), rows, rows
    first = {column: (column, "first") for column in KEPT if column not in names}
    by_seed = rows.groupby([*names, "seed"], sort=False).agg(
        **first,
        value=("value", "mean"),
        settings=("cell", "nunique"),
        run_keys=("run_key", lambda k: " ".join(sorted(k))),
    )
    by_seed = by_seed.reset_index()
    by_seed = by_seed[by_seed["settings"] == by_seed.groupby(names)["settings"].transform("max")]
    records = []
    for _, cell in by_seed.groupby(names, sort=False):
        found = intervals.mean(cell["value"].to_numpy())
        records.append(
            cell[names].iloc[0].to_dict()
            | {"mean": found.value, "low": found.low, "high": found.high, "n": len(cell)}
            | {"run_keys": " ".join(cell["run_keys"])}
        )
    return tuple(over), by_seed.drop(columns="settings").reset_index(drop=True), pd.DataFrame(records)


def _ordered(values: set[Any]) -> tuple[Any, ...]:
    """Put numbers in order, then words."""
    return tuple(sorted(values, key=lambda v: (not _number(v), v if _number(v) else math.inf, word(v))))


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
