"""Draw a metric against settings of your choice."""

import sys


def main() -> None:
    """Do what the command line says, and end with its exit code."""
    from rftlab.entries import reach_analysis

    reach_analysis()
    from analysis.draw import main

    sys.exit(main())
