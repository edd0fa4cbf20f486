"""`python src/sweep.py compare`: which setting of a sweep is the best, and how sure that is."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from rftlab.errors import UserError

if TYPE_CHECKING:
    from rftlab.sweeps.comparison import Comparison

FORMATS = ("csv", "tex", "md", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--y", help="final metric to compare (eval/test/reward, or the first reward that there is)")
    parser.add_argument("--by", help="settings that make a row, such as optimizer.lr,algo (what the runs differ in)")
    parser.add_argument("--lower", action="store_true", help="less is better, as of a loss")
    parser.add_argument(
        "--iqm", action="store_true", help="interquartile means with a bootstrap of the seeds, for many seeds"
    )
    formats = parser.add_mutually_exclusive_group()
    for name in FORMATS:
        formats.add_argument(f"--{name}", action="store_true", help=f"print {name.upper()} instead of a table")


def show_comparison(arguments: argparse.Namespace, console: Console) -> int:
    """Print the comparison of one sweep, or of every sweep that has one."""
    from rftlab.sweeps.comparison_table import csv, latex, legend, markdown, show, to_dict  # scipy takes its time

    found = _compared(arguments)
    if arguments.json:
        print(json.dumps([to_dict(each) for each in found], indent=1, allow_nan=False))
    elif arguments.csv:
        sys.stdout.write(csv(found))
    elif arguments.tex or arguments.md:
        print("\n".join(map(latex if arguments.tex else markdown, found)), end="")
    else:
        for each in found:
            show(console, each)
            console.print()
        console.print(legend(found), highlight=False, soft_wrap=True, style="dim")
    return 0


def _compared(arguments: argparse.Namespace) -> "list[Comparison]":
    from rftlab.sweeps.comparison import compare

    by = [key for key in (arguments.by or "").split(",") if key]
    sweeps = [arguments.sweep] if arguments.sweep else sweeps_of(arguments.outputs)
    found: list[Comparison] = []
    refusals: list[UserError] = []
    for sweep in sweeps:
        try:
            found += compare(arguments.outputs, sweep, arguments.y, by, lower=arguments.lower, middle=arguments.iqm)
        except UserError as error:
            refusals.append(error)
    if not found:
        raise refusals[0]
    return found


def sweeps_of(outputs: Path) -> Sequence[str]:
    """Name the sweeps that have runs.

    Raises:
        UserError: There is none.
    """
    found = sorted({path.parent.parent.name for path in outputs.glob("*/*/config.yaml")})
    if not found:
        raise UserError(f"no run in {outputs}", "the outputs of a sweep", "--outputs")
    return found
