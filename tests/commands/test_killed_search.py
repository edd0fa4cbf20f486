"""kill -9 in the middle of a search, then the same command: no trial is lost, repeated or drawn anew."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands.test_kill import ROOT, TINY

SEARCH = [
    "-m", "hydra/sweeper=optuna", "hydra/sweeper/pruner=hyperband", "hydra.sweeper.n_trials=5",
    "hydra.launcher.slots=1",
    "hydra.sweeper.pruner.reduction_factor=2", "optimizer.lr=tag(log,interval(1e-5,1e-2))", "eval.probe_every=1",
    "eval.probe_prompts_during=8", "eval.probe_samples=2", "eval.probe_null=false", "data=imdb", "sweep.page=false",
]  # fmt: skip


def start(outputs: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "src/train.py", *SEARCH, *TINY, f"paths.outputs={outputs}"]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": "src"}, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def trials(outputs: Path) -> list[dict]:
    path = outputs / "default" / "search.json"
    return json.loads(path.read_text())["trials"] if path.exists() else []


@pytest.mark.slow
def test_a_killed_search_goes_on_by_the_same_command(tmp_path: Path) -> None:
    broken = start(tmp_path)
    until = time.monotonic() + 600
    while not any(trial["state"] != "open" for trial in trials(tmp_path)):
        assert broken.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    broken.send_signal(signal.SIGKILL)
    broken.communicate(timeout=120)
    before = trials(tmp_path)
    said, _ = (resumed := start(tmp_path)).communicate(timeout=600)
    assert resumed.returncode == 0, said
    after = trials(tmp_path)
    assert [trial["params"] for trial in after[: len(before)]] == [trial["params"] for trial in before]
    assert len(after) == 5 and {trial["state"] for trial in after} <= {"done", "pruned"}
    assert "best: trial" in said
    done = {path.parent.name[-12:] for path in tmp_path.glob("default/*/DONE")}
    assert done == {key for trial in after if trial["state"] == "done" for key in trial["runs"].values()}
