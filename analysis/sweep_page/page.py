"""The page of a sweep: what `rftlab.sweeps.account` tells of it, with figures, tables and samples."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis import everything, load, pages
from analysis.statistics import stats
from analysis.sweep_page import samples
from analysis.sweep_page.pictures import Shown, shown
from rftlab.runs import sweep_runs


def write(account: Mapping[str, Any], outputs: Path, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    pages.write(page(account, outputs), path)


def page(account: Mapping[str, Any], outputs: Path) -> str:
    """Return the page of a sweep. Everything that was sampled, asked or said is escaped."""
    sweep = account["sweep"]
    drawn = _drawn(outputs, sweep)
    records = {record.key: record for record in sweep_runs(outputs, sweep)}
    comparisons = [{**each, "samples": samples.of_comparison(records, each)} for each in account["comparisons"]]
    return pages.render(
        "sweep.html.j2", **{**account, "comparisons": comparisons}, figures=drawn.figures, tables=drawn.tables,
        left_out=drawn.left_out,
    )  # fmt: skip


def _drawn(outputs: Path, sweep: str) -> Shown:
    runs, _ = stats.one_run_per_seed(load.load_runs(outputs, [sweep]))
    return shown(everything.read(outputs, [sweep], runs))
