"""A sweep whose runs need several runs first, one of them with a parent of its own, as a user starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rftlab import runs
from rftlab.runs.parents import needed_runs

ROOT = Path(__file__).parents[2]
SIZES = [
    "algo.loop.prompts_per_iteration=8", "algo.loop.samples_per_prompt=2", "algo.loop.minibatch_size=8",
    "algo.loop.microbatch_size=8", "algo.loop.iterations=1",
]  # fmt: skip
TINY = [
    *SIZES, "runtime.checkpoint_every=5", "eval.n_train=4", "eval.n_validation=4", "eval.n_test=4",
    "eval.probe_prompts=8", "data.loader.n_train=32", "data.loader.n_validation=4", "data.loader.n_test=4",
    "tracking=none", "hydra.launcher.slots=2",
]  # fmt: skip
REWARD = """
import numpy as np


class Judge:
    def __init__(self, run, parent):
        self.run = run

    def __call__(self, prompts, responses, targets):
        assert len(self.run) == 12
        return np.array([1.0 / (1 + len(response)) for response in responses])
"""

pytestmark = pytest.mark.slow


def sweep(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "src/train.py", "-m", *overrides, "sweep.page=false", f"paths.outputs={folder / 'out'}"]
    environment = os.environ | {"PYTHONPATH": f"src:{folder}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_sweep_makes_what_its_runs_need_in_order_and_once(tmp_path: Path) -> None:
    (tmp_path / "judge_of_mine.py").write_text(REWARD)
    (tmp_path / "conf" / "reward").mkdir(parents=True)
    first = ["algo=ppo", *SIZES, "heuristic=partial_sft", "heuristic.step_fraction=0.01"]
    text = f"_target_: judge_of_mine.Judge\nrun: null\nparent: {{overrides: {json.dumps(first)}}}\n"
    (tmp_path / "conf" / "reward" / "judged.yaml").write_text(text)
    grid = [f"--config-dir={tmp_path / 'conf'}", "algo=ppo,apa", "reward=judged", *TINY]
    grid += ["heuristic=partial_sft", "heuristic.step_fraction=0.005"]
    plan = sweep(tmp_path, *grid, "sweep.dry_run=true")
    assert plan.returncode == 0 and "5 jobs: 5 new" in plan.stdout and not (tmp_path / "out").exists()
    done = sweep(tmp_path, *grid)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {run.key: run for run in runs.find_runs(tmp_path / "out")}
    assert len(found) == 5 and all(run.done for run in found.values())
    children = [run for run in found.values() if "reward.run" in needed_runs(run.config)]
    assert len(children) == 2
    (needed,) = {tuple(needed_runs(run.config).values()) for run in children}
    judge = found[needed[1]]
    assert judge.config["algo"]["name"] == "ppo" and set(needed_runs(judge.config)) == {"init_from"}
    for run in found.values():
        for key in needed_runs(run.config).values():
            assert run.status["started"] >= found[key].folder.joinpath("DONE").stat().st_mtime - 1
    again = sweep(tmp_path, *grid)
    assert again.returncode == 0 and "done" in again.stdout and "new" not in again.stdout.splitlines()[-1]


def test_a_run_that_is_named_and_not_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "judge_of_mine.py").write_text(REWARD)
    (tmp_path / "conf" / "reward").mkdir(parents=True)
    text = "_target_: judge_of_mine.Judge\nrun: null\nparent: {overrides: [algo=sft]}\n"
    (tmp_path / "conf" / "reward" / "judged.yaml").write_text(text)
    command = [sys.executable, "src/train.py", f"--config-dir={tmp_path / 'conf'}", "reward=judged", *TINY[:-1]]
    command += ["reward.run=0123456789ab", f"paths.outputs={tmp_path / 'out'}"]
    environment = os.environ | {"PYTHONPATH": f"src:{tmp_path}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "reward.run=0123456789ab, which is no finished run" in done.stderr and "change reward.run" in done.stderr
    assert not list(tmp_path.glob("out/*/*/config.yaml"))
