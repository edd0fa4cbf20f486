"""kill -9 at any moment, then the same command: the outcome of the uninterrupted run, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
TINY = [
    "algo.loop.iterations=6", "algo.loop.prompts_per_iteration=8", "algo.loop.samples_per_prompt=2",
    "algo.loop.minibatch_size=8", "algo.loop.microbatch_size=8", "runtime.checkpoint_every=1", "runtime.threads=1",
    "eval.n_train=4", "eval.n_validation=4", "eval.n_test=4", "eval.probe_prompts=8", "eval.every=2",
    "data.loader.n_train=32", "data.loader.n_validation=4", "data.loader.n_test=4", "tracking=none",
]  # fmt: skip


def start(outputs: Path, *overrides: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "src/train.py", *TINY, *overrides, f"paths.outputs={outputs}"]
    environment = os.environ | {"PYTHONPATH": "src"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def outcome(outputs: Path) -> tuple[dict, dict]:
    (done,) = outputs.glob("*/*/DONE")
    return json.loads(done.read_text())["final"], load_file(done.parent / "final" / "model.safetensors")


def iterations(outputs: Path) -> int:
    """Count the iterations that the run has logged."""
    files = list(outputs.glob("*/*/metrics.jsonl"))
    return files[0].read_text().count('"reward/mean"') if files else 0


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [("algo=ppo", "data=narrativeqa"), ("algo=apa", "data=imdb")], ids=["ppo", "apa"])
def test_a_killed_run_ends_like_an_uninterrupted_one(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    assert start(tmp_path / "whole", *overrides).wait() == 0
    moments = random.Random(0)
    for iteration in (1, 2, 4):  # the times of a run say little on a busy machine, so the run itself is watched
        broken = start(tmp_path / "broken", *overrides)
        while iterations(tmp_path / "broken") < iteration:
            assert broken.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.3))
        broken.send_signal(signal.SIGKILL)
        assert broken.wait() == -signal.SIGKILL
    assert start(tmp_path / "broken", *overrides).wait() == 0
    (final, weights), (resumed_final, resumed_weights) = outcome(tmp_path / "whole"), outcome(tmp_path / "broken")
    assert resumed_final == final
    assert weights.keys() == resumed_weights.keys()
    assert all(bool((weights[name] == resumed_weights[name]).all()) for name in weights)
