"""F1 and F2 without a cluster: kill -9, again and again, of a training process and of the process of a local sweep.

Twenty kills of a run, every third one while a checkpoint is being written, and twelve of a sweep from its first
moments on. The same command goes on each time, and the outcome is that of an undisturbed run, bit for bit. It takes
about six minutes.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands.test_kill import ROOT, TINY
from safetensors.torch import load_file

RUN_KILLS, SWEEP_KILLS = 20, 12
ITERATIONS = "algo.loop.iterations=40"  # more than the kills leave time for
GRID = ["-m", "seed=0,1,2", "algo.loop.iterations=12", "hydra.launcher.slots=2", "tracking=mlflow", "sweep.page=false"]

pytestmark = pytest.mark.faults


def start(outputs: Path, *overrides: str) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own."""
    command = [sys.executable, "src/train.py", *TINY, *overrides, f"paths.outputs={outputs}"]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": "src"}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def test_a_run_killed_twenty_times_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    """At random times, counted from its claim, and in the middle of checkpoints."""
    folder, moments = tmp_path, random.Random(0)
    assert start(folder / "whole", ITERATIONS).wait() == 0
    in_checkpoint = 0
    for number in range(RUN_KILLS):
        process = start(folder / "broken", ITERATIONS)
        while attempt(folder / "broken") <= number:
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.002)
        until = time.monotonic() + moments.uniform(0.0, 3.0)
        while time.monotonic() < until or number % 3 == 2:
            if number % 3 == 2 and (half := list((folder / "broken").glob("*/*/checkpoints/.*.tmp"))):
                in_checkpoint += bool(half)
                break
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert start(folder / "broken", ITERATIONS).wait() == 0
    compare(folder / "broken", folder / "whole")
    print(f"run: {RUN_KILLS} kills, {in_checkpoint} of them in a checkpoint; equal bit for bit", flush=True)


def test_a_sweep_whose_launcher_is_killed_twelve_times_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    """From its imports on; jobs save and stop by themselves."""
    folder, moments = tmp_path, random.Random(1)
    assert start(folder / "whole", *GRID).wait() == 0
    for _ in range(SWEEP_KILLS):
        process = start(folder / "broken", *GRID)
        time.sleep(moments.uniform(0.0, 9.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    tries = 1
    while start(folder / "broken", *GRID).wait() != 0 or len(list((folder / "broken").glob("*/*/DONE"))) < 3:
        tries += 1
        assert tries < 5, "the sweep does not end"
    compare(folder / "broken", folder / "whole")
    attempts = [json.loads(path.read_text())["attempt"] for path in (folder / "broken").glob("*/*/status.json")]
    print(f"sweep: {SWEEP_KILLS} kills, attempts {sorted(attempts)}, then {tries} command(s); equal bit for bit")


def attempt(outputs: Path) -> int:
    """Return how often the one run was begun."""
    for path in outputs.glob("*/*/status.json"):
        return json.loads(path.read_text())["attempt"]
    return 0


def compare(broken: Path, whole: Path) -> None:
    """Compare all runs of two folders, metrics and weights."""
    names = sorted(path.parent.name for path in whole.glob("*/*/DONE"))
    assert names == sorted(path.parent.name for path in broken.glob("*/*/DONE"))
    for name in names:
        final, expected = (json.loads((o / "default" / name / "DONE").read_text())["final"] for o in (broken, whole))
        assert final == expected, name
        mine, theirs = (load_file(o / "default" / name / "final" / "model.safetensors") for o in (broken, whole))
        assert mine.keys() == theirs.keys() and all(bool((mine[key] == theirs[key]).all()) for key in mine), name
