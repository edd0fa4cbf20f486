"""Following jobs of a cluster without one: when a job that left the queue has ended, and how."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rftlab.errors import UserError
from rftlab.sweeps.slurm.ledger import Ledger
from rftlab.sweeps.slurm.queue import LOST_POLLS, UNSEEN_POLLS, SlurmQueue, _Executor, _submit
from rftlab.sweeps.slurm.scheduler import Queued
from rftlab.sweeps.slurm.settings import Resources, SlurmSettings, check_resources
from sweeps.jobs import end, finish, make_job

SETTINGS = SlurmSettings(resources=Resources(), max_array_size=10)


@pytest.fixture(autouse=True)
def _srun_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let submitit find the command that it looks for, and never calls here."""
    folder = tmp_path / "commands"
    folder.mkdir()
    (folder / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def following(tmp_path: Path, *jobs) -> SlurmQueue:
    queue = SlurmQueue(jobs, tmp_path / "sweep", SETTINGS, None)
    queue.adopt({job.key: f"1_{index}" for index, job in enumerate(jobs)})
    return queue


def in_queue(job_id: str, state: str) -> dict[str, Queued]:
    return {job_id: Queued(job_id=job_id, state=state, reason="", node="", name="rftlab-x")}


def test_a_job_whose_end_the_disk_shows_late_is_not_taken_for_lost(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    queue = following(tmp_path, job)
    end(job, "running")  # what the disk still shows of a job that has left the queue
    for _ in range(LOST_POLLS - 1):
        queue.follow({})
        assert not queue.finished
    finish(job)
    queue.follow({})
    assert queue.states == {job.key: "done"}


def test_a_job_that_vanished_counts_as_failed_in_the_end(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    queue = following(tmp_path, job)
    end(job, "running")
    for _ in range(LOST_POLLS):
        queue.follow({})
    assert queue.states == {job.key: "failed"}


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_an_end_that_is_on_the_disk_counts_after_a_few_looks(tmp_path: Path, state: str) -> None:
    job = make_job(tmp_path)
    queue = following(tmp_path, job)
    end(job, state)
    for _ in range(UNSEEN_POLLS):
        assert not queue.finished
        queue.follow({})
    assert queue.states == {job.key: state}


def test_a_requeued_job_is_not_over_though_its_last_attempt_stopped(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    queue = following(tmp_path, job)
    end(job, "stopped")
    for _ in range(LOST_POLLS + UNSEEN_POLLS):
        queue.follow(in_queue("1_0", "PENDING"))
    assert not queue.finished
    queue.follow({})
    queue.follow(in_queue("1_0", "RUNNING"))  # it was out of sight for a moment: the count starts again
    for _ in range(UNSEEN_POLLS - 1):
        queue.follow({})
    assert not queue.finished


def test_a_child_that_slurm_removed_with_its_parent_is_skipped_not_failed(tmp_path: Path) -> None:
    parent = make_job(tmp_path, "sft")
    child = make_job(tmp_path, "ppo", parent)
    queue = following(tmp_path, parent, child)
    end(parent, "failed")
    for _ in range(UNSEEN_POLLS):
        queue.follow({})
    assert queue.states == {parent.key: "failed", child.key: "skipped"}


@pytest.mark.parametrize(
    "own", [{"timeout_min": 2}, {"gpu_type": "a100", "gpus_per_node": 0}], ids=["time limit", "GPU type"]
)
def test_resources_of_one_job_are_checked_like_those_of_the_launcher(own: dict) -> None:
    with pytest.raises(UserError, match=r"resources\."):
        check_resources(SETTINGS.resources.changed(own), SETTINGS)


def test_settings_survive_the_way_through_launch_json() -> None:
    settings = SlurmSettings(resources=Resources(partition="gpu", mem_gb=8), setup=["module load x"], wait=False)
    assert SlurmSettings.from_dict(settings.to_dict()) == settings


class _Console:
    """A console that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print(self, line: str, **_: object) -> None:
        self.lines.append(line)


def _limited(monkeypatch: pytest.MonkeyPatch, room: int) -> list[str]:
    """Let SLURM take `room` jobs and refuse every array after that; returns the keys it took."""
    taken: list[str] = []

    def submit(self: SlurmQueue, group: object, jobs: list) -> object:
        if len(taken) + len(jobs) > room:
            raise UserError("SLURM refuses the jobs: job submit limit", "an array that sbatch takes", "submit_limit")
        submission = self.ledger.record(
            self.ledger.intend([j.key for j in jobs], [j.folder for j in jobs]), str(len(taken))
        )
        taken.extend(submission.keys)
        self._tasks |= submission.tasks()
        return submission

    monkeypatch.setattr(SlurmQueue, "_submit_array", submit)
    return taken


def test_a_refusal_after_some_were_taken_is_told_and_the_rest_waits(tmp_path: Path, monkeypatch) -> None:
    jobs = [make_job(tmp_path, f"job{i}") for i in range(7)]
    queue = SlurmQueue(jobs, tmp_path / "sweep", replace(SETTINGS, max_array_size=3), None)
    taken, console = _limited(monkeypatch, 3), _Console()
    _submit(queue, console, dict)
    assert len(taken) == 3 and queue.waiting == 4
    assert console.lines[0].startswith("submitted array") and "submit limit" in console.lines[1]
    assert not queue.may_submit(3)  # nothing has ended
    assert queue.may_submit(2)
    for job in jobs[:3]:
        finish(job)
        queue.states[job.key] = "done"
    _submit(queue, console, dict)  # still refused, and there is nothing left to wait for
    assert queue.finished and list(queue.states.values()).count("skipped") == 4


def test_a_refusal_of_everything_is_an_error(tmp_path: Path, monkeypatch) -> None:
    queue = SlurmQueue([make_job(tmp_path)], tmp_path / "sweep", SETTINGS, None)
    _limited(monkeypatch, 0)
    with pytest.raises(UserError, match="submit limit"):
        _submit(queue, _Console(), dict)


def test_a_refused_rest_does_not_wait_for_the_jobs_of_others(tmp_path: Path, monkeypatch) -> None:
    jobs = [make_job(tmp_path, f"job{i}") for i in range(2)]
    queue = SlurmQueue(jobs, tmp_path / "sweep", replace(SETTINGS, max_array_size=1), None)
    _limited(monkeypatch, 1)
    _submit(queue, _Console(), dict)
    finish(jobs[0])
    queue.states[jobs[0].key] = "done"
    assert queue.may_submit(50)  # all of another sweep


def test_jobs_that_slurm_took_are_followed_though_a_full_disk_cannot_note_them(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise UserError("cannot write: No space left on device", "room", "paths.outputs")

    monkeypatch.setattr(_Executor, "_submit_command", lambda *_: SimpleNamespace(job_id="7"))
    monkeypatch.setattr(Ledger, "record", full)
    job, console = make_job(tmp_path), _Console()
    queue = SlurmQueue([job], tmp_path / "sweep", replace(SETTINGS, max_array_size=3), None)
    _submit(queue, console, dict)
    assert queue.taken == {job.key} and queue.waiting == 0 and not queue.finished
    assert "No space left" in console.lines[0]


def test_an_array_waits_for_all_its_parents_and_comes_after_them(tmp_path: Path, monkeypatch) -> None:
    asked: list[tuple[list[str], str | None]] = []

    def submit(executor: _Executor, _: str) -> SimpleNamespace:
        more = executor.parameters["additional_parameters"]
        asked.append((more.get("dependency"), more.get("kill-on-invalid-dep")))
        return SimpleNamespace(job_id=str(100 + len(asked)))

    monkeypatch.setattr(_Executor, "_submit_command", submit)
    sft, responses = make_job(tmp_path, "sft"), make_job(tmp_path, "responses")
    model = make_job(tmp_path, "reward-model", responses)
    children = [make_job(tmp_path, f"ppo{seed}", sft, model) for seed in range(2)]
    queue = SlurmQueue([*children, model, responses, sft], tmp_path / "sweep", SETTINGS, None)
    _submit(queue, _Console(), dict)
    tasks = {job.name: queue._tasks[job.key] for job in (sft, responses, model, *children)}
    assert {tasks["sft"], tasks["responses"]} == {"101_0", "101_1"}  # they wait for nothing: one array
    assert asked[1:2] == [(f"afterok:{tasks['responses']}", "yes")] and tasks["reward-model"] == "102_0"
    wanted = {tasks["sft"], tasks["reward-model"]}
    assert len(asked) == 3 and asked[0] == (None, None)
    assert set((asked[2][0] or "").removeprefix("afterok:").split(":")) == wanted
    assert [tasks["ppo0"], tasks["ppo1"]] == ["103_0", "103_1"]


def test_a_finished_parent_is_no_dependency_and_a_failed_one_skips_all_behind_it(tmp_path: Path, monkeypatch) -> None:
    asked = []

    def submit(executor: _Executor, _: str) -> SimpleNamespace:
        asked.append(executor.parameters["additional_parameters"].get("dependency"))
        return SimpleNamespace(job_id="7")

    monkeypatch.setattr(_Executor, "_submit_command", submit)
    sft, bad = make_job(tmp_path, "sft"), make_job(tmp_path, "bad")
    model = make_job(tmp_path, "reward-model", bad)
    lost, other = make_job(tmp_path, "lost", sft, model), make_job(tmp_path, "other", sft)
    finish(sft)
    queue = SlurmQueue([model, lost, other], tmp_path / "sweep", SETTINGS, None)
    _submit(queue, _Console(), dict)
    assert asked == [None] and set(queue._tasks) == {other.key}
    assert queue.states == {model.key: "skipped", lost.key: "skipped"}
