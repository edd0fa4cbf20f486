"""Compare this tree with the last release, and fail where it is slower: `python bench/check.py [--commit C]`.

A script of this folder names what is watched in `GUARD`: what it is called -> a function that prepares it and its
settings. Both trees do each in turns, and the median of the ratios of CPU seconds counts. 10 % are allowed.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from sides import Bar, Side, compare, release, report, tree_of

ALLOWED = 1.10
ROUNDS = 7
HERE = Path(__file__).parent


def main(arguments: Sequence[str]) -> int:
    """Print the table; returns 1 where something is slower than allowed."""
    parser = argparse.ArgumentParser(description="compare with the last release")
    parser.add_argument("--commit", default=release())
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args(arguments)
    rows = []
    with tree_of(asked.commit) as old:
        sides = [Side(name="now"), Side(name=asked.commit, tree=old)]
        for script in sorted(HERE.glob("*.py")):
            if "\nGUARD" not in script.read_text():
                continue
            for work, (function, settings) in importlib.import_module(script.stem).GUARD.items():
                bar = Bar("share", ALLOWED)
                rows.append(compare(work, bar, sides, str(script), function, settings=settings, rounds=asked.rounds))
    report("check", rows)
    slower = [row["work"] for row in rows if not row["met"]]
    if slower:
        print(f"slower than {asked.commit} by more than 10 %: {', '.join(slower)}", file=sys.stderr)
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
