"""A job that SLURM ended before it could say anything is not forgotten, and SLURM's own words say why."""

from pathlib import Path

import pytest

from rftlab import runs
from rftlab.sweeps.job import Job
from rftlab.sweeps.outcome import outcomes
from rftlab.sweeps.slurm.ledger import Ledger
from rftlab.sweeps.slurm.logs import last_words
from rftlab.sweeps.slurm.scheduler import Queued
from rftlab.sweeps.status import Queue, statuses
from sweeps.jobs import finish, make_job

WATCHED = """\
slurmstepd-n1: error: StepId=7.0 exceeded memory limit (291758080 > 268435456), being killed
slurmstepd-n1: error: Exceeded job memory limit
srun: Job step aborted: Waiting up to 7 seconds for job step to finish.
slurmstepd-n1: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-11-21T18:40:14 ***
srun: error: n1: task 0: Killed
"""
CGROUP = """\
slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks have been OOM Killed.
srun: error: n1: task 0: Out Of Memory
"""


def submit(job: Job, task_text: str | None) -> str:
    runs.freeze(job.folder, job.config)
    ledger = Ledger(job.folder.parent)
    submission = ledger.record(ledger.intend([job.key], [job.folder]), "7")
    if task_text is not None:
        logs = ledger.folder / "logs"
        logs.mkdir()
        (logs / "7_0_0_log.out").write_text("")
        (logs / "7_0_0_log.err").write_text(task_text)
    return submission.tasks()[job.key]


@pytest.mark.parametrize("text", [WATCHED, CGROUP])
def test_memory_is_named_with_the_key_that_gives_more(tmp_path: Path, text: str) -> None:
    job = make_job(tmp_path)
    words = last_words(job.folder.parent, submit(job, text))
    assert words is not None and "mem_gb" in words
    assert "memory" in words.lower()


def test_other_complaints_are_told_as_they_are(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    task = submit(job, "module: command not found\nsrun: error: n1: task 0: Exited with exit code 127\n")
    assert last_words(job.folder.parent, task) == "n1: task 0: Exited with exit code 127"


def test_a_job_that_vanished_before_it_claimed_its_run_is_lost(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    task = submit(job, WATCHED)
    (status,) = statuses(tmp_path, None, Queue(jobs={}, known=True, tasks={job.key: task}, final={task: "FAILED"}))
    assert status.state == "lost"
    assert "SLURM: FAILED, Exceeded job memory limit" in status.detail
    (end,) = outcomes([job], {job.key: "failed"})
    assert "mem_gb" in end.detail
    assert end.log.read_text() == WATCHED  # the run has none of its own


def test_a_job_that_never_started_or_still_may_is_not_lost(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    task = submit(job, None)
    (cancelled,) = statuses(tmp_path, None, Queue(jobs={}, known=True, tasks={job.key: task}, final={}))
    assert cancelled.state == "new"
    other = make_job(tmp_path / "other")
    task = submit(other, "")
    queued = {task: Queued(job_id=task, state="RUNNING", reason="None", node="n1", name="rftlab-sweep")}
    (starting,) = statuses(tmp_path / "other", None, Queue(jobs=queued, known=True, tasks={other.key: task}, final={}))
    assert starting.state == "starting"
    (unknown,) = statuses(tmp_path / "other", None, Queue(jobs={}, known=False, tasks={other.key: task}, final={}))
    assert unknown.state == "new"


def test_a_run_that_ended_well_has_no_complaints(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    task = submit(job, "srun: error: something harmless\n")
    finish(job)
    (status,) = statuses(tmp_path, None, Queue(jobs={}, known=True, tasks={job.key: task}, final={}))
    assert status.state == "done" and "harmless" not in status.detail


def test_a_host_name_is_no_memory(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    words = last_words(job.folder.parent, submit(job, "srun: error: classroom01: task 0: Exited with exit code 1\n"))
    assert words == "classroom01: task 0: Exited with exit code 1"
