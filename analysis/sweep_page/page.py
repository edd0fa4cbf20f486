"""The page of a sweep: what `rftlab.sweeps.account` tells of it, with figures, tables and samples."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis import everything, load, pages
from analysis.statistics import stats
from analysis.sweep_page import samples
from analysis.sweep_page.pictures import Shown, save, shown
from rftlab.runs import sweep_runs

FIGURES = "figures"  # beside the page


def write(account: Mapping[str, Any], outputs: Path, path: Path) -> None:
    """Write the page, whole or not at all, and its figures as files beside it.

    Raises:
        OSError: It cannot be written.
    """
    drawn = _drawn(outputs, account["sweep"])
    pages.write(page(account, outputs, drawn), path)
    save(drawn.figures, path.parent / FIGURES)


def page(account: Mapping[str, Any], outputs: Path, drawn: Shown | None = None) -> str:
    """Return the page of a sweep. Everything that was sampled, asked or said is escaped."""
    sweep = account["sweep"]
    drawn = drawn or _drawn(outputs, sweep)
    records = {record.key: record for record in sweep_runs(outputs, sweep)}
    comparisons = [{**each, "samples": samples.of_comparison(records, each)} for each in account["comparisons"]]
    return pages.render(
        "sweep.html.j2", **{**account, "comparisons": comparisons}, figures=drawn.figures, tables=drawn.tables,
        left_out=drawn.left_out,
    )  # fmt: skip


def _drawn(outputs: Path, sweep: str) -> Shown:
    runs, _ = stats.one_run_per_seed(load.load_runs(outputs, [sweep]))
    return shown(everything.read(outputs, [sweep], runs))
