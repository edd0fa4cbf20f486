"""Draw every figure and table of the runs in `outputs`."""

import sys


def main() -> None:
    """Do what the command line says, and end with its exit code."""
    from rftlab.entries import reach_analysis

    reach_analysis()
    from analysis.make_figures import main

    sys.exit(main())
