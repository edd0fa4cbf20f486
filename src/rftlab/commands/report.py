"""`python src/sweep.py report`: a sweep as one page, `index.html` in its folder."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from rftlab.commands.compare import sweeps_of
from rftlab.commands.status import found_runs
from rftlab.errors import UserError, unwritable
from rftlab.sweeps.slurm.ledger import PREFIX
from rftlab.sweeps.status import read_queue

PAGE = "index.html"
# what `rftlab.sweeps.account` tells of a sweep, the outputs that hold it, the file to write
WritePage = Callable[[Mapping[str, Any], Path, Path], None]


def no_pages(account: Mapping[str, Any], outputs: Path, path: Path) -> None:
    """Stand where nobody draws: the analysis lies beside `src`, and is not there.

    Raises:
        UserError: Always.
    """
    raise UserError("no folder `analysis`", "the whole checkout, as it draws the page", "the place of the command")


def write_pages(arguments: argparse.Namespace, console: Console, write: WritePage) -> int:
    """Write the page of one sweep, or of every sweep.

    Raises:
        UserError: There is no run, or the page cannot be written.
    """
    from rftlab.sweeps.account import account  # scipy takes its time

    outputs = arguments.outputs
    queue = read_queue(outputs, PREFIX)
    for sweep in [arguments.sweep] if arguments.sweep else sweeps_of(outputs):
        chosen = argparse.Namespace(outputs=outputs, sweep=sweep)
        found, path = found_runs(chosen, queue, linked=True), outputs / sweep / PAGE
        if not found:
            raise UserError(f"no run in {outputs / sweep}", "a sweep that was launched", "--sweep")
        try:
            write(account(outputs, sweep, found), outputs, path)
        except OSError as error:
            raise unwritable(error.filename or path, error, "--outputs, or make room there") from error
        console.print(f"page: {path}", soft_wrap=True, highlight=False, markup=False)
    return 0
