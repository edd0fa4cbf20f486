"""Print rewards, KL and vanishing gradients per cell, and what they say."""

import sys


def main() -> None:
    """Do what the command line says, and end with its exit code."""
    from rftlab.entries import reach_analysis

    reach_analysis()
    from analysis.learned import main

    sys.exit(main())
