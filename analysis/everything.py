"""Every figure and table that some runs allow, and every run that they miss; what `make_figures` writes and reports."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pandas as pd

from analysis import figures, load, tables
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
    names = sorted({name for file in files() for name in getattr(file, "METRICS", ())})
    return Frames(
        runs,
        stats.of_runs(load.load_metrics(outputs, sweeps, names), runs),
        stats.of_runs(load.load_prompts(outputs, sweeps), runs),
        stats.of_runs(load.load_cases(outputs, sweeps), runs),
    )


def draw(frames: Frames) -> Iterator[Drawn | Table]:
    """Yield every figure and table, one after the other: a figure of a big sweep need not wait for all others."""
    for file in files():
        yield from file.draw(frames)


def missing(runs: pd.DataFrame, whole: bool) -> pd.DataFrame:
    """List what figures and tables miss, one row per cell and reason; `seeds` is empty where a whole cell is absent.

    `whole` says that `runs` are those of the whole outputs folder: what has no run at all is missing, too.
    """
    rows = unfinished(runs)
    for file in files():
        rows += file.gaps(runs) if hasattr(file, "gaps") else []
    rows += never_made([each for file in files() for each in file.WANTED], runs) if whole else []
    return pd.DataFrame(rows, columns=COLUMNS).drop_duplicates(ignore_index=True)
