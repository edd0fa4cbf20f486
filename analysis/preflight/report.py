"""From the folder of a diagnosis to its report: terminal, page, figure and tables."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from analysis import pages
from analysis.drawing.save import save
from analysis.preflight import contents as said
from analysis.preflight import plots, terminal
from analysis.preflight.commands import commands
from analysis.preflight.contents import Contents
from analysis.preflight.page import page
from analysis.preflight.reading import Measured, Setting, read
from analysis.preflight.statistics import summarise
from analysis.preflight.verdict import judge, numbers_of
from rftlab.errors import UserError


def report_all(folders: Sequence[Path], figures: Path) -> int:
    """Report on every folder on the standard output and return the exit code: 2 when one of them holds no diagnosis.

    What is wrong with a folder is one line on the standard error; the others are reported.
    """
    console, code = Console(highlight=False), 0
    for folder in folders:
        try:
            written = report(folder, figures, console, np.random.default_rng(0))
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            code = 2
            continue
        console.print("\nwritten:")
        for path in written:
            console.print(f"  {path}", soft_wrap=True, markup=False)
    return code


def report(folder: Path, figures: Path, console: Console, generator: np.random.Generator) -> list[Path]:
    """Print the report of the diagnosis in a folder, write its files and return their paths.

    The files are `preflight-<data>-<model>-<run key>` .html, .pdf, .png and .csv (the prompts as drawn),
    `-numbers.csv`, and `-cases.csv` where gradients were measured. `generator` draws the resamples of the intervals.

    Raises:
        UserError: the folder holds no finished diagnosis, or nothing in it can be counted.
    """
    if figures.exists() and not figures.is_dir():
        raise UserError(f"{figures}, which is a file", "a folder for the figures", "the folder of the figures")
    contents = contents_of(read(folder), generator)
    terminal.show(contents, console)
    return write(contents, figures)


def contents_of(measured: Measured, generator: np.random.Generator) -> Contents:
    """Compute all that is shown."""
    setting, summary = measured.setting, summarise(measured, generator)
    numbers = numbers_of(
        summary,
        n_samples=setting.n_samples,
        n_train=setting.n_train,
        low_reward=setting.low_reward,
        has_targets=setting.has_targets,
    )
    verdict = judge(numbers)
    return Contents(measured, summary, verdict, commands(setting, verdict))


def write(contents: Contents, figures: Path) -> list[Path]:
    """Write page, figure and tables, and return their paths, the page first."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells every glyph of a PDF to a root logger at INFO
    name = file_name(contents.setting)
    drawn = save(plots.overview(contents, name), figures)
    html, numbers, cases = (figures / f"{name}{end}" for end in (".html", "-numbers.csv", "-cases.csv"))
    pages.write(page(contents, plots.page_panels(contents)), html)
    said.table(contents).to_csv(numbers, index=False, lineterminator="\n")
    if contents.measured.cases is None:
        return [html, *drawn, numbers]
    rows = contents.measured.cases.assign(run_key=contents.setting.run_key)
    rows.to_csv(cases, index=False, lineterminator="\n")
    return [html, *drawn, numbers, cases]


def file_name(setting: Setting) -> str:
    """Name the files of a report, without suffix."""
    return f"preflight-{setting.data}-{setting.model}-{setting.run_key}".replace("/", "-")
