"""Look before training: will reinforcement finetuning work here."""

from collections.abc import Sequence
from pathlib import Path


def report(folders: Sequence[Path], figures: Path) -> int:
    """Print and draw what the runs found; returns the exit code.

    The analysis, with its plotting libraries, loads only now.
    """
    from rftlab.entries import reach_analysis

    reach_analysis()
    from analysis.preflight import report_all

    return report_all(folders, figures)


def main() -> None:
    """Do what the command line says."""
    from rftlab.commands.diagnose import main

    main(report)
