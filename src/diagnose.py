"""Look before training, will reinforcement finetuning work here: `python src/diagnose.py --help`."""

import sys
from collections.abc import Sequence
from pathlib import Path


def report(folders: Sequence[Path], figures: Path) -> int:
    """Print and draw what the runs found; returns the exit code.

    The analysis, with its plotting libraries, loads only now.
    """
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # the analysis lies beside src
    from analysis.preflight import report_all

    return report_all(folders, figures)


if __name__ == "__main__":
    from rftlab.stop import exit_on_interrupt

    with exit_on_interrupt():
        from rftlab.commands.diagnose import main

        main(report)
