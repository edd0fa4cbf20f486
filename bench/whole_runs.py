"""Time whole commands of the README, this tree against a commit: `python bench/whole_runs.py [--rounds N] [NAME ...]`.

`run`: PPO on bundled reviews with its evaluations and looks. `diagnosis`: 500 prompts x 10 responses, with gradients
and bounds of six of them. Each is a process of its own, imports and all; its CPU seconds and its peak memory count.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sides import BASE, Bar, Figures, Side, compare, report, tree_of

QUIET = ["tracking=none", "runtime.threads=1", "runtime.progress=never"]
WORK = {
    "run": ("PPO run of the README, 20 iterations", ["src/train.py", "algo=ppo", "data=imdb"]),
    "diagnosis": (
        "diagnose, 500 x 10, gradients of 6",
        ["src/train.py", "algo=diagnose", "data=narrativeqa", "algo.loop.bound_prompts=6"],
    ),
}
BAR = Bar("share", 0.45)


def work(words: Sequence[str]) -> Callable[[], Figures]:
    """Run a command in an empty folder; the DONE of its run says its peak."""

    def once() -> Figures:
        with tempfile.TemporaryDirectory() as folder:
            where = [f"paths.outputs={folder}/outputs", f"paths.figures={folder}/figures"]
            subprocess.run([sys.executable, *words, *QUIET, *where], check=True, capture_output=True)
            (done,) = Path(folder).glob("outputs/*/*/DONE")
            return {"peak_mib": json.loads(done.read_text())["cost"]["peak_mib"]}

    return once


def main() -> None:
    """Measure what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("names", nargs="*", default=[*WORK])
    asked = parser.parse_args()
    with tree_of(BASE) as old:
        sides = [Side(name="now"), Side(name=BASE, tree=old)]
        rows = [
            compare(WORK[name][0], BAR, sides, __file__, "work", settings={"words": WORK[name][1]}, rounds=asked.rounds)
            for name in asked.names
        ]
    report("whole_runs", rows)


if __name__ == "__main__":
    main()
