"""Time what reads many run folders, this tree against a commit: `python bench/run_folders.py [--runs N] [--commit C]`.

N finished runs (2,000) of one setting with other seeds are made in an empty folder: the files that a run leaves, but
for weights. Then `sweep.py status`, `analysis.load.load_runs`, `load_metrics` of one metric, and the plan of the same
sweep (`train.py -m ... sweep.dry_run=true`) read them, sides in turns. The first reading of a side counts by itself, as
it may write what later ones use.
"""

import argparse
import atexit
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sides import BASE, ROOT, Bar, Side, compare, report, tree_of

SETTING = ["data=narrativeqa", "tracking=none"]
STEPS = 20
WORK = {
    "status": "sweep.py status",
    "load_runs": "analysis.load.load_runs",
    "load_metric": "analysis.load.load_metrics of one metric",
    "plan": "plan of the same sweep",
}
GUARD = {f"{work}, 300 runs": ("filled", {"row": row, "n": 300}) for row, work in WORK.items()}
BARS = {"status": 0.3, "load_runs": 0.3, "plan": 0.3}


def fill(outputs: Path, n: int) -> None:
    """Make finished runs."""
    from hydra import compose, initialize_config_dir

    from rftlab import runs
    from rftlab.launch import single
    from rftlab.place import CONF
    from rftlab.runs.cost import shape

    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*SETTING, f"paths.outputs={outputs}"], return_hydra_config=True)
        job = single.prepare(cfg, cfg.hydra.runtime.choices)
    final = {f"{split}/{name}": 0.25 for split in ("eval/train", "eval/test", "probe") for name in ("reward", "length")}
    final |= {f"policy/{i}": i / 7 for i in range(20)}
    cost = {"shape": shape(job.config), "seconds_per_step": 1.5, "peak_mib": 700.0, "device": "cpu", "gpu": False}
    lines = [{"step": i, "time": i / 2, "attempt": 1, "metrics": final} for i in range(STEPS)]
    metrics = "".join(json.dumps(line) + "\n" for line in lines)
    for seed in range(n):
        config = {**job.config, "seed": seed}
        folder = job.folder.with_name(job.folder.name.replace(job.key, runs.run_key(config)))
        runs.freeze(folder, config)
        status = {"state": "done", "attempt": 1, "started": 0.0, "ended": 30.0, "host": "h", "pid": 1, "step": STEPS}
        (folder / "status.json").write_text(json.dumps(status))
        (folder / "metrics.jsonl").write_text(metrics)
        (folder / ".lock").touch()
        done = {"final": final | {"eval/test/reward": seed / n}, "attempt": 1, "time": 30.0, "cost": cost}
        (folder / "DONE").write_text(json.dumps(done))


def command(*words: str) -> Callable[[], None]:
    """Run a command of the tree in a process of its own, as a user does."""

    def once() -> None:
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)

    return once


def status(outputs: str, n: int) -> Callable[[], None]:
    """List every run."""
    return command("src/sweep.py", "status", "--outputs", outputs)


def plan(outputs: str, n: int) -> Callable[[], None]:
    """Say what a sweep that is done would still do."""
    seeds = f"seed=range(0,{n})"
    return command("src/train.py", "-m", *SETTING, f"paths.outputs={outputs}", seeds, "sweep.dry_run=true")


def load_runs(outputs: str, n: int) -> Callable[[], None]:
    """Read a row per run."""
    from analysis.load import load_runs as load

    def once() -> None:
        frame = load(Path(outputs))
        assert len(frame) == n and frame["eval/test/reward"].nunique() == n

    return once


def load_metric(outputs: str, n: int) -> Callable[[], None]:
    """Read the values of one metric."""
    from analysis.load import load_metrics as load

    def once() -> None:
        assert len(load(Path(outputs), names=["eval/test/reward"])) == n * STEPS

    return once


def filled(row: str, n: int) -> Callable[[], None]:
    """Prepare a row with runs of its own."""
    outputs = tempfile.mkdtemp(prefix="rftlab-bench-runs-")
    atexit.register(shutil.rmtree, outputs, ignore_errors=True)
    fill(Path(outputs), n)
    return globals()[row](outputs, n)


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="time what reads many run folders")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commit", default=BASE)
    parser.add_argument("rows", nargs="*", choices=[*WORK, []], default=[*WORK])
    asked = parser.parse_args(arguments)
    with tree_of(asked.commit) as old, tempfile.TemporaryDirectory() as outputs, contextlib.chdir(ROOT):
        fill(Path(outputs), asked.runs)
        sides = [Side(name="now"), Side(name=asked.commit, tree=old)]
        settings = {"outputs": outputs, "n": asked.runs}
        rows = []
        for row in asked.rows:
            bar = Bar("share", BARS[row]) if row in BARS else None
            work = f"{WORK[row]}, {asked.runs} runs"
            rows.append(compare(work, bar, sides, __file__, row, settings=settings, rounds=asked.rounds))
        report("run_folders", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
