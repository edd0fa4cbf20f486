"""Draw every figure and table that the run folders allow: `python -m analysis.make_figures [--outputs DIR]`.

Exit code 0 when something was drawn, 1 when nothing could be (with --strict: when anything is missing), 2 on bad input.
"""

import argparse
import inspect
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from analysis import everything, load
from analysis.drawing.save import Drawn, save, save_table
from analysis.drawing.table import Table
from analysis.preflight.reading import read
from analysis.preflight.report import contents_of
from analysis.preflight.report import write as write_report
from analysis.statistics import stats
from rftlab.errors import Parser, UserError, unwritable
from rftlab.place import as_typed


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    about = "Write every figure (PDF, PNG, CSV) and table (CSV, Markdown, LaTeX) of all finished runs."
    result = Parser(prog=as_typed("python -m analysis.make_figures"), description=about)
    result.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the run folders are (outputs)")
    result.add_argument("--figures", type=Path, default=Path("figures"), help="where the figures go (figures)")
    result.add_argument("--sweep", action="append", help="only this sweep; may be repeated (all)")
    result.add_argument("--strict", action="store_true", help="exit with 1 when any run that a figure wants is missing")
    result.add_argument("--list", action="store_true", help="say what each figure and table shows, and draw nothing")
    return result


def write(each: Drawn | Table, folder: Path) -> list[Path]:
    """Write a figure or a table."""
    return save(each, folder) if isinstance(each, Drawn) else save_table(each, folder)


def reports(runs: pd.DataFrame, folder: Path, console: Console) -> list[list[Path]]:
    """Write the pre-flight report of every diagnosis; one that cannot be reported on is named."""
    written = []
    for run in stats.of_family(runs, "diagnose")["folder"]:
        try:
            written.append(write_report(contents_of(read(Path(run)), np.random.default_rng(0)), folder))
        except UserError as error:
            console.print(f"left out: {error}", soft_wrap=True, highlight=False)
    return written


def listed() -> None:
    """Print what each figure and table shows: the first lines of its file."""
    for file in everything.files():
        kind, name = file.__name__.split(".")[-2:]
        print(f"{kind}/{name}.py\n{textwrap.indent(inspect.getdoc(file) or '', '    ')}\n")


def report(missing: pd.DataFrame, repeated: pd.DataFrame, console: Console) -> None:
    """Print what the figures lack and the commands that make it."""
    if not repeated.empty:
        keys = " ".join(sorted(repeated["sweep"] + "/" + repeated["run_key"]))
        console.print(f"left out, the same setting and seed as another run: {keys}", soft_wrap=True)
    if missing.empty:
        return
    table = Grid("data", "algo", "heuristic", "seeds", "why", title="missing from the figures", title_justify="left")
    for row in missing.to_dict("records"):
        data = " ".join(filter(None, [row["data"], row["scale"], row["source"]]))
        setting = " ".join(filter(None, [row["heuristic"], *row["variant"].split()]))
        table.add_row(data, row["algo"], Text(setting), row["seeds"], row["reason"])  # a list in it is no markup
    console.print(table)
    console.print("to make them:")
    for line in missing["command"].drop_duplicates():
        console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, report and return the exit code."""
    options = parser().parse_args(arguments)
    if options.list:
        listed()
        return 0
    console = Console()
    try:
        runs = load.load_runs(options.outputs, options.sweep)
        kept, repeated = stats.one_run_per_seed(runs)
        frames = everything.read(options.outputs, options.sweep, kept)
        written = [write(each, options.figures) for each in everything.draw(frames)]
        written += reports(kept, options.figures, console)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {unwritable(error.filename or options.figures, error, '--figures')}", file=sys.stderr)
        return 2
    if not written:
        print("nothing to draw: no run has got that far", file=sys.stderr)
    for paths in written:
        console.print(*paths, soft_wrap=True, highlight=False)
    missing = everything.missing(runs, options.sweep is None, frames.comparisons)
    report(missing, repeated, console)
    return 1 if not written or (options.strict and not missing.empty) else 0


if __name__ == "__main__":
    sys.exit(main())
