"""Whole sweeps on this machine, as a user starts them: failures, Ctrl-C, a killed launcher, the same command again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from rftlab.tracking.store import open_store

ROOT = Path(__file__).parents[2]
TINY = [
    "algo.loop.prompts_per_iteration=8", "algo.loop.samples_per_prompt=2", "algo.loop.minibatch_size=8",
    "algo.loop.microbatch_size=8", "runtime.checkpoint_every=5", "eval.n_train=4", "eval.n_validation=4",
    "eval.n_test=4", "eval.probe_prompts=8", "data.loader.n_train=32", "data.loader.n_validation=4",
    "data.loader.n_test=4", "tracking=none", "hydra.launcher.slots=2", "sweep.page=false",
]  # fmt: skip
ENVIRONMENT = os.environ | {"PYTHONPATH": "src"}

pytestmark = pytest.mark.slow


def command(outputs: Path, *overrides: str) -> list[str]:
    return [sys.executable, "src/train.py", "-m", *TINY, *overrides, f"paths.outputs={outputs}"]


def sweep(outputs: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(outputs, *overrides), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def start(outputs: Path, *overrides: str, root: Path = ROOT) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(outputs, *overrides), cwd=root, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def state(outputs: Path) -> dict[str, dict]:
    return {path.parent.name: json.loads(path.read_text()) for path in outputs.glob("*/*/status.json")}


def wait_until(holds: Callable[[], object], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def trained(outputs: Path, least: int) -> bool:
    steps = [line for path in outputs.glob("*/*/metrics.jsonl") for line in path.read_text().splitlines()]
    return sum('"step": 0' not in line for line in steps) >= least


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def end_with_its_jobs(launcher: subprocess.Popen[bytes]) -> None:
    """Kill a launching process, and wait until its jobs have saved and ended: also one that has no status yet."""
    launcher.send_signal(signal.SIGSTOP)  # it starts no more
    jobs = [child.pid for child in psutil.Process(launcher.pid).children(recursive=True)]
    launcher.kill()
    launcher.wait()
    wait_until(lambda: not any(map(alive, jobs)), 60)


def test_a_failure_concerns_one_job_and_the_same_command_runs_what_is_missing(tmp_path: Path) -> None:
    grid = ["algo.loop.iterations=2", "algo=ppo,apa", "init_from=null,0123456789ab"]
    first = sweep(tmp_path, *grid)
    assert first.returncode == 1
    assert "2 done, 2 failed" in first.stdout
    failed = [status["error"] for status in state(tmp_path).values() if status["state"] == "failed"]
    logs = [line.split("log:")[1].strip() for line in first.stdout.splitlines() if "log:" in line]
    assert len(logs) == 2 and all("init_from" in Path(log).read_text() for log in logs)
    assert len(failed) == 2 and all("init_from" in error for error in failed)
    again = sweep(tmp_path, *grid, "sweep.dry_run=true")
    assert "2 failed, 2 done" in again.stdout
    assert again.returncode == 0


def test_ctrl_c_saves_and_the_same_command_ends_like_an_uninterrupted_sweep(tmp_path: Path) -> None:
    grid = ["algo.loop.iterations=12", "algo=ppo,apa"]
    broken = start(tmp_path / "broken", *grid)
    wait_until(lambda: trained(tmp_path / "broken", 6))
    os.kill(broken.pid, signal.SIGINT)
    assert broken.wait(60) == 130
    stopped = state(tmp_path / "broken").values()
    assert {status["state"] for status in stopped} == {"stopped"}
    assert not any(alive(status["pid"]) for status in stopped)
    assert sweep(tmp_path / "broken", *grid).returncode == 0
    assert sweep(tmp_path / "whole", *grid).returncode == 0
    finals = [
        {path.parent.name: json.loads(path.read_text())["final"] for path in (tmp_path / folder).glob("*/*/DONE")}
        for folder in ("broken", "whole")
    ]
    assert finals[0] == finals[1] and len(finals[0]) == 2


def test_jobs_of_a_killed_launcher_save_and_end(tmp_path: Path) -> None:
    launcher = start(tmp_path, "algo.loop.iterations=100000", "seed=0,1")
    wait_until(lambda: trained(tmp_path, 4))
    pids = [status["pid"] for status in state(tmp_path).values()]
    assert len(pids) == 2 and all(map(alive, pids))
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.wait()
    wait_until(lambda: not any(map(alive, pids)), 30)
    assert {status["state"] for status in state(tmp_path).values()} == {"stopped"}
    assert len(list(tmp_path.glob("*/*/checkpoints/*.pt"))) >= 2
    dry = sweep(tmp_path, "algo.loop.iterations=100000", "seed=0,1", "sweep.dry_run=true")
    assert "2 resume" in dry.stdout


@pytest.mark.parametrize("snapshot", [True, False])
def test_edits_after_the_start_reach_no_job_that_waits(tmp_path: Path, snapshot: bool) -> None:
    """Code, assets and config files of a copied tree are spoiled while the first job runs."""
    tree, outputs = tmp_path / "tree", tmp_path / "outputs"
    for folder in ("src", "conf"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("local"))
    grid = ["algo.loop.iterations=6", "seed=0,1", "hydra.launcher.slots=1"]
    asked = [] if snapshot else ["sweep.snapshot=false"]
    launcher = start(outputs, *grid, *asked, root=tree)
    wait_until(lambda: trained(outputs, 1))
    for path in [*tree.rglob("*.py"), *tree.rglob("*.yaml"), *tree.rglob("*.json"), *tree.rglob("*.safetensors")]:
        path.write_text("edited = 1 / 0\n")
    assert launcher.wait(300) == (0 if snapshot else 1)
    states = sorted(status["state"] for status in state(outputs).values())
    assert states == (["done", "done"] if snapshot else ["done", "failed"])


def test_the_warm_process_hands_its_jobs_frozen_libraries_and_a_collector_that_works() -> None:
    code = (
        "import gc, sys, threading, rftlab.launch.warm, torch\n"
        "print(gc.isenabled(), gc.get_freeze_count() > len(vars(torch)), threading.active_count())\n"
        "print('mlflow' in sys.modules)\n"  # seconds, for the launching process alone
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True", "1", "False"], done.stderr


def test_the_launching_process_sends_all_runs_and_after_a_kill_the_same_command_sends_the_rest(tmp_path: Path) -> None:
    grid = ["algo.loop.iterations=6", "seed=0,1,2", "tracking=mlflow", "tracking.send_every_s=0.2"]
    killed = start(tmp_path, *grid)
    wait_until(lambda: trained(tmp_path, 4))
    wait_until(lambda: len(mirrored(tmp_path)) >= 2 and any(run.data.metrics for run in mirrored(tmp_path).values()))
    end_with_its_jobs(killed)
    assert sweep(tmp_path, *grid, "init_from=null,0123456789ab", "tracking.close_timeout_s=200").returncode == 1
    runs = mirrored(tmp_path)
    assert sorted(run.info.status for run in runs.values()) == ["FAILED"] * 3 + ["FINISHED"] * 3
    for name, run in runs.items():
        folder = tmp_path / "default" / name
        assert run.data.tags["attempt"] == str(json.loads((folder / "status.json").read_text())["attempt"])
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        written = sorted(
            (line["step"], line["metrics"]["reward/mean"]) for line in lines if "reward/mean" in line["metrics"]
        )
        assert history(tmp_path, run.info.run_id, "reward/mean") == written
    again = [sys.executable, "src/sweep.py", "sync", "--outputs", str(tmp_path)]
    done = subprocess.run(again, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert "0 created, 0 metrics and 0 files sent" in done.stdout, done.stdout + done.stderr


def mirrored(outputs: Path) -> dict[str, Any]:
    """Return the runs of the tracking store by the names of their folders."""
    if not (outputs / "default" / "tracking.json").exists():
        return {}
    client = open_store(f"sqlite:///{outputs}/mlflow.db").client
    experiment = client.get_experiment_by_name("default")
    found = client.search_runs([experiment.experiment_id], "tags.kind = 'run'")
    folders = {path.parent.name.rpartition("-")[2]: path.parent.name for path in outputs.glob("*/*/config.yaml")}
    return {folders[run.data.tags["run_key"]]: run for run in found}


def history(outputs: Path, run_id: str, name: str) -> list[tuple[int, float]]:
    client = open_store(f"sqlite:///{outputs}/mlflow.db").client
    return sorted((point.step, point.value) for point in client.get_metric_history(run_id, name))
