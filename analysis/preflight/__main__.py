"""Report on diagnoses that were run before: `python -m analysis.preflight FOLDER... [--figures DIR]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from analysis.preflight.report import report
from rftlab.errors import UserError


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    about = "Say from the folder of a diagnosis whether RFT will work there: terminal, page, figure and tables."
    result = argparse.ArgumentParser(prog="python -m analysis.preflight", description=about)
    result.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="a run folder of src/diagnose.py")
    result.add_argument("--figures", type=Path, default=Path("figures"), help="where the files go (figures)")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Report on every folder and return the exit code: 2 on bad input."""
    options = parser().parse_args(arguments)
    console = Console(highlight=False)
    for folder in options.folders:
        try:
            written = report(folder, options.figures, console, np.random.default_rng(0))
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
        console.print("\nwritten:")
        for path in written:
            console.print(f"  {path}", soft_wrap=True, markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
