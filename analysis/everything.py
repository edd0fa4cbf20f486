"""Every figure and table that some runs allow, and every run that they miss; what `make_figures` writes and reports."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd

from analysis import figures, load, tables
from analysis.drawing import layout, unlike
from analysis.drawing.save import Drawn
from analysis.drawing.table import Table
from analysis.folder import members
from analysis.missing.coverage import COLUMNS, unfinished
from analysis.missing.wanted import never_made
from analysis.statistics import stats
from analysis.statistics.frames import Frames


def files() -> list[ModuleType]:
    """List the files of all figures and tables."""
    return [*members(figures), *members(tables)]


def read(outputs: Path, sweeps: Sequence[str] | None, runs: pd.DataFrame) -> Frames:
    """Read what the given runs wrote, as far as a figure or table shows it."""
    compared = load.load_comparisons(outputs)
    names = sorted({name for file in files() for name in getattr(file, "METRICS", ())})
    return Frames(
        runs,
        stats.of_runs(load.load_metrics(outputs, sweeps, names), runs),
        stats.of_runs(load.load_prompts(outputs, sweeps), runs),
        stats.of_runs(load.load_cases(outputs, sweeps), runs),
        compared[compared["run_a"].isin(runs["run_key"]) & compared["run_b"].isin(runs["run_key"])],
        load.load_searches(outputs, sweeps),
    )


def draw(frames: Frames) -> Iterator[Drawn | Table]:
    """Yield every figure and table, one after the other: a figure of a big sweep need not wait for all others.

    Below each stands what its runs do not share beyond what is compared.
    """
    for file in files():
        for each in file.draw(frames):
            yield noted(each, frames.runs)


def noted(each: Drawn | Table, runs: pd.DataFrame) -> Drawn | Table:
    """Say under a figure or a table in which budgets and shared settings its runs differ, and where seeds are few."""
    shown = runs[runs["run_key"].isin(each.keys)]
    said = " ".join([*unlike.one_seed_each(shown), *unlike.sentences(shown)])
    if not said:
        return each
    if isinstance(each, Table):
        return replace(each, caption=f"{each.caption} {said}")
    layout.add_to_caption(each.figure, said)
    return each


def missing(runs: pd.DataFrame, whole: bool, comparisons: pd.DataFrame | None = None) -> pd.DataFrame:
    """List what figures and tables miss, one row per cell and reason; `seeds` is empty where a whole cell is absent.

    `whole` says that `runs` are those of the whole outputs folder: what has no run at all is missing, too. With
    `comparisons`, those of `load.load_comparisons`, pairs of policies that nobody has compared are missing as well.
    """
    rows = unfinished(runs)
    for file in files():
        rows += file.gaps(runs) if hasattr(file, "gaps") else []
        rows += file.uncompared(runs, comparisons) if comparisons is not None and hasattr(file, "uncompared") else []
    rows += never_made([each for file in files() for each in file.WANTED], runs) if whole else []
    return pd.DataFrame(rows, columns=COLUMNS).drop_duplicates(ignore_index=True)
