"""Time what a user waits for before anything is computed, this tree against a commit: `python bench/starting.py`.

The imports of the process that jobs of a local sweep are forked from, a whole run of two short iterations without
tracking, and two commands that print and end. Each is a process of its own; its CPU seconds and its peak memory count.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from sides import BASE, Bar, Figures, Side, compare, report, tree_of

TINY = [
    "data=narrativeqa", "algo.loop.prompts_per_iteration=8", "algo.loop.samples_per_prompt=2", "eval.n_train=4",
    "algo.loop.minibatch_size=8", "algo.loop.microbatch_size=8", "algo.loop.iterations=2", "eval.n_validation=4",
    "eval.n_test=4", "eval.probe_prompts=8", "data.loader.n_train=32", "data.loader.n_validation=4", "tracking=none",
    "data.loader.n_test=4", "runtime.threads=1", "runtime.progress=never",
]  # fmt: skip
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
COMMANDS = {
    "help": ["src/train.py", "--help"],
    "status_help": ["src/sweep.py", "status", "--help"],
    "imports": ["-c", f"import rftlab.launch.warm; {PEAK}"],
}
GUARD = {
    "imports of a sweep's jobs": ("command", {"name": "imports"}),
    "a run of two iterations": ("run", {}),
    "train.py --help": ("command", {"name": "help"}),
}


def command(name: str) -> Callable[[], Figures]:
    """Run one of the commands."""

    def once() -> Figures:
        said = subprocess.run([sys.executable, *COMMANDS[name]], check=True, capture_output=True, text=True).stdout
        return {"peak_mib": int(said.split()[-1]) / 1024} if name == "imports" else {}

    return once


def run() -> Callable[[], Figures]:
    """Train for two iterations in an empty folder; its DONE says its peak."""

    def once() -> Figures:
        with tempfile.TemporaryDirectory() as outputs:
            words = [sys.executable, "src/train.py", *TINY, f"paths.outputs={outputs}"]
            subprocess.run(words, check=True, capture_output=True)
            (done,) = Path(outputs).glob("*/*/DONE")
            return {"peak_mib": json.loads(done.read_text())["cost"]["peak_mib"]}

    return once


def main() -> None:
    """Print the table."""
    with tree_of(BASE) as old:
        sides = [Side(name="now"), Side(name=BASE, tree=old)]
        rows = [
            compare("imports of a sweep's jobs", Bar("share", 0.5), sides, __file__, "command",
                    settings={"name": "imports"}),
            compare("a run of two iterations", None, sides, __file__, "run"),
            compare("train.py --help", None, sides, __file__, "command", settings={"name": "help"}),
            compare("sweep.py status --help", None, sides, __file__, "command", settings={"name": "status_help"}),
        ]  # fmt: skip
    report("starting", rows)


if __name__ == "__main__":
    main()
