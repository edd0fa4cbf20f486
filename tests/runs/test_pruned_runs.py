"""A run that a search has given up: its state, how its job hears of it, and who takes it up again."""

import json
import threading
import time
from pathlib import Path

import pytest
from sweeps.jobs import finish, make_job

from rftlab import runs
from rftlab.launch import worker
from rftlab.runs import Run
from rftlab.stop import StopFlag, StopRequested
from rftlab.sweeps.local import PRUNED
from rftlab.sweeps.plan import make_plan

WHY = {"outcome": "pruned", "step": 1, "reason": "pruned at step 1 of trial 0"}


def test_a_run_given_up_is_running_until_it_has_stopped_and_pruned_from_then_on(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    with pytest.raises(StopRequested), Run.claim(job.folder, job.config):
        runs.prune(job.folder, WHY)
        assert runs.state_of(job.folder) == "running"
        raise StopRequested("pruned")
    assert runs.state_of(job.folder) == "pruned" and runs.pruned(job.folder) == WHY


def test_a_run_that_finished_all_the_same_is_done(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    runs.prune(job.folder, WHY)
    finish(job)
    assert runs.state_of(job.folder) == "done"


def test_a_plan_resumes_what_a_search_gave_up(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    with pytest.raises(StopRequested), Run.claim(job.folder, job.config):
        raise StopRequested("pruned")
    runs.prune(job.folder, WHY)
    (row,) = make_plan([job], tmp_path).rows
    assert row.state == "resume" and row.to_do


def train_until_stopped(config: dict, folder: Path, stop: StopFlag, *, mirror: bool) -> None:
    with Run.claim(folder, config):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            stop.check()
            time.sleep(0.01)


def test_a_job_hears_that_its_run_is_given_up_saves_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path)
    runs.freeze(job.folder, job.config)
    monkeypatch.setattr("rftlab.build.training.train", train_until_stopped)
    monkeypatch.setattr(worker, "LOOK_S", 0.02)
    threading.Timer(0.3, lambda: runs.prune(job.folder, WHY)).start()
    assert worker.work(job.folder, StopFlag(), mirror=False) == PRUNED
    assert json.loads((job.folder / "status.json").read_text())["reason"] == "pruned: pruned at step 1 of trial 0"
    monkeypatch.setattr("rftlab.build.training.train", lambda *given, **more: pytest.fail("it was started again"))
    assert worker.work(job.folder, StopFlag(), mirror=False) == PRUNED
