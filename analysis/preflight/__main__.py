"""Report on diagnoses that were run before: `python -m analysis.preflight FOLDER... [--figures DIR]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.preflight.report import report_all
from rftlab.errors import Parser


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    about = "Say from the folder of a diagnosis whether RFT will work there: terminal, page, figure and tables."
    result = Parser(prog="python -m analysis.preflight", description=about)
    result.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="a run folder of a diagnosis")
    result.add_argument("--figures", type=Path, default=Path("figures"), help="where the files go (figures)")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Report on every folder and return the exit code: 2 on bad input."""
    options = parser().parse_args(arguments)
    return report_all(options.folders, options.figures)


if __name__ == "__main__":
    sys.exit(main())
