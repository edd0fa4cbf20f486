"""SFT and PPO finish on the real rows of every dataset, as a user starts them; wants a mirror.

RFTLAB_HUB_MIRROR=DIR pytest -m slow tests/launch/test_real_rows.py
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rftlab import runs

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_run_finishes_and_has_scored_responses_to_real_prompts(tmp_path: Path) -> None:
    if (mirror := os.environ.get("RFTLAB_HUB_MIRROR")) is None:
        pytest.skip("set RFTLAB_HUB_MIRROR to a mirror")
    words = ["+sweep=real_rows", "data.source=hub", f"paths.hub_mirror={mirror}", f"paths.outputs={tmp_path}"]
    command = [sys.executable, "src/train.py", "-m", *words, "tracking=none", "runtime.threads=1", "sweep.page=false"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": "src"}, capture_output=True, text=True)
    assert "Traceback" not in done.stdout + done.stderr and done.returncode == 0, done.stdout + done.stderr
    trained = [run for run in runs.find_runs(tmp_path) if run.config["algo"]["name"] in ("sft", "ppo")]
    assert len(trained) == 20
    for run in trained:
        assert run.done and run.final is not None
        assert any(sample["response"] for sample in run.samples()), run.name
        assert "probe/share_vanishing" in run.final
