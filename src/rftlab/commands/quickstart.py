"""The first sweep, one seed of each setting, then figures and what was learned: four commands one after the other."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rftlab.errors import Parser
from rftlab.place import NAME
from rftlab.sweeps.fork_server import own_path

SWEEP = "quickstart"
GRID = (
    "algo=ppo,apa", "data=narrativeqa", "experiment=apa/like_for_like", "algo.loop.iterations=60",
    f"sweep.name={SWEEP}",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the commands, and end with the exit code of the first that fails."""
    about = "PPO beside APA on bundled NarrativeQA, alone and after a little SFT, one seed each, and what came out."
    parser = Parser(prog=f"{NAME} {SWEEP}", description=about)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the runs go (outputs)")
    parser.add_argument("--figures", type=Path, default=Path("figures"), help="where the figures go (figures)")
    options = parser.parse_args(arguments)
    for words in commands(options.outputs, options.figures):
        print(f"> {NAME} {' '.join(words)}", flush=True)
        if code := run(words):
            sys.exit(code)


def commands(outputs: Path, figures: Path) -> list[list[str]]:
    """Return the words of each command."""
    grid = ["train", "-m", *GRID, *([] if str(outputs) == "outputs" else [f"paths.outputs={outputs}"])]
    read = ["--outputs", str(outputs), "--figures", str(figures), "--sweep", SWEEP]
    return [grid, [*grid, "heuristic=partial_sft"], ["figures", *read], ["learned", *read]]


def run(words: Sequence[str]) -> int:
    """Run one command in a process of its own and return its exit code; a Ctrl-C is for that one, which saves."""
    environment = os.environ | {"PYTHONPATH": own_path()}
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        return subprocess.run([sys.executable, "-m", NAME, *words], env=environment).returncode
    finally:
        signal.signal(signal.SIGINT, before)
