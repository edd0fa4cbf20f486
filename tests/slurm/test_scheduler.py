"""What the scheduler module says about a real cluster, and what its orders do there."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import Cluster

from rftlab.errors import UserError
from rftlab.sweeps.slurm import scheduler

pytestmark = pytest.mark.slurm


def submit(cluster: Cluster, command: str, *options: str) -> str:
    return cluster.call("sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap={command}")


def wait_for(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def state(job_id: str) -> str | None:
    jobs = scheduler.queue()
    assert jobs is not None
    return jobs[job_id].state if job_id in jobs else None


def test_jobs_can_be_submitted_where_sbatch_is(slurm: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert scheduler.available()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not scheduler.available()


def test_every_task_of_a_waiting_array_is_listed_by_itself(slurm: Cluster) -> None:
    array = submit(slurm, "true", "--array=0-6:2%2", "--hold", "--job-name=wide")
    jobs = scheduler.queue()
    assert jobs is not None
    assert set(jobs) == {f"{array}_{task}" for task in (0, 2, 4, 6)}
    assert {(job.state, job.reason, job.node, job.name) for job in jobs.values()} == {
        ("PENDING", "JobHeldUser", "", "wide")
    }


def test_a_running_job_is_listed_with_its_node(slurm: Cluster) -> None:
    job_id = submit(slurm, "exec sleep 60", "--nodelist=n2")
    wait_for(lambda: state(job_id) == "RUNNING")
    assert (scheduler.queue() or {})[job_id].node == "n2"


def test_the_queue_is_that_of_the_asked_names_whatever_they_hold(slurm: Cluster) -> None:
    odd = submit(slurm, "true", "--hold", "--job-name=sweep|a\n7|RUNNING|None|n1|b")
    submit(slurm, "true", "--hold", "--job-name=other")
    jobs = scheduler.queue("sweep")
    assert jobs is not None
    assert list(jobs) == [odd]
    assert jobs[odd].name == "sweep|a\n7|RUNNING|None|n1|b"


def test_a_users_own_defaults_change_nothing(slurm: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = submit(slurm, "true", "--hold")
    monkeypatch.setenv("SQUEUE_FORMAT", "%j")
    monkeypatch.setenv("SQUEUE_STATES", "COMPLETED")
    monkeypatch.setenv("SQUEUE_PARTITION", "urgent")
    monkeypatch.setenv("SCANCEL_STATE", "RUNNING")
    assert state(job_id) == "PENDING"
    scheduler.cancel([job_id])
    assert state(job_id) is None


def test_an_array_may_be_as_long_as_the_limit_says(slurm: Cluster) -> None:
    size = scheduler.limits().max_array_size
    assert size is not None
    submit(slurm, "true", f"--array={size - 1}", "--hold")
    with pytest.raises(AssertionError, match="Invalid job array"):
        submit(slurm, "true", f"--array={size}", "--hold")


def test_exactly_the_named_jobs_are_cancelled_however_many(slurm: Cluster) -> None:
    array = submit(slurm, "true", "--array=0-999", "--hold")
    running = submit(slurm, "exec sleep 60")
    wait_for(lambda: state(running) == "RUNNING")
    scheduler.cancel([running, *(f"{array}_{task}" for task in range(700))])
    wait_for(lambda: state(running) is None)
    assert set(scheduler.queue() or {}) == {f"{array}_{task}" for task in range(700, 1000)}


def test_what_ended_before_can_be_cancelled_and_what_is_no_job_cannot(slurm: Cluster) -> None:
    job_id = submit(slurm, "true")
    wait_for(lambda: state(job_id) is None)
    scheduler.cancel([])
    scheduler.cancel([job_id, "999999", "999999_3"])
    with pytest.raises(UserError, match="Invalid job id"):
        scheduler.cancel(["no-job"])


def test_a_requeued_job_starts_again(slurm: Cluster, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    job_id = submit(slurm, f"echo ${{SLURM_RESTART_COUNT:-0}} >> {starts}; exec sleep 60")
    wait_for(starts.exists)
    assert scheduler.requeue(job_id)
    wait_for(lambda: state(job_id) == "PENDING")
    wait_for(lambda: starts.read_text().split() == ["0", "1"])


def test_what_does_not_exist_cannot_be_requeued(slurm: Cluster) -> None:
    assert not scheduler.requeue("999999")


def test_no_state_is_known_while_the_controller_is_down(slurm: Cluster) -> None:
    submit(slurm, "true", "--hold")
    slurm.stop_controller()
    started = time.monotonic()
    assert scheduler.queue(timeout_s=2.0) is None
    assert scheduler.limits(timeout_s=2.0).max_array_size is None
    assert time.monotonic() - started < 6.0
    slurm.start_controller()
    assert len(scheduler.queue() or {}) == 1


def test_final_states_are_read_from_the_accounting(slurm_accounting: Cluster) -> None:
    good = submit(slurm_accounting, "true")
    bad = submit(slurm_accounting, "exit 3")
    running = submit(slurm_accounting, "exec sleep 60")
    waiting = submit(slurm_accounting, "true", "--hold")
    cancelled = submit(slurm_accounting, "true", "--hold")
    scheduler.cancel([cancelled])
    wait_for(lambda: state(running) == "RUNNING")
    jobs = [good, bad, running, waiting, cancelled, "999999"]
    expected = {good: "COMPLETED", bad: "FAILED", cancelled: "CANCELLED"}
    wait_for(lambda: scheduler.accounting(jobs) == expected)


def test_tasks_that_ran_keep_their_state_when_the_rest_of_the_array_is_cancelled(slurm_accounting: Cluster) -> None:
    script = "[ $SLURM_ARRAY_TASK_ID = 2 ] && exec sleep 60; exit $SLURM_ARRAY_TASK_ID"
    array = submit(slurm_accounting, script, "--array=0-5%1")
    tasks = [f"{array}_{task}" for task in range(6)]
    ran = {tasks[0]: "COMPLETED", tasks[1]: "FAILED"}
    wait_for(lambda: state(tasks[2]) == "RUNNING" and scheduler.accounting(tasks) == ran)
    scheduler.cancel([array])
    wait_for(lambda: scheduler.accounting(tasks) == ran | dict.fromkeys(tasks[2:], "CANCELLED"))


@pytest.mark.parametrize("hold", [True, False])
def test_an_array_that_never_started_is_cancelled_in_every_task(slurm_accounting: Cluster, hold: bool) -> None:
    block = submit(slurm_accounting, "exec sleep 60", "--nodelist=n1", "--exclusive")
    wait_for(lambda: state(block) == "RUNNING")
    indices = [i * i for i in range(30)]  # a scattered list, longer than SLURM shows elsewhere
    options = [f"--array={','.join(map(str, indices))}%2", "--nodelist=n1", *(["--hold"] if hold else [])]
    array = submit(slurm_accounting, "true", *options)
    tasks = [f"{array}_{i}" for i in indices]
    assert scheduler.accounting(tasks) == {}
    scheduler.cancel([array])
    wait_for(lambda: scheduler.accounting(tasks) == dict.fromkeys(tasks, "CANCELLED"))


def test_without_accounting_no_final_state_is_known(slurm: Cluster) -> None:
    job_id = submit(slurm, "true")
    wait_for(lambda: state(job_id) is None)
    assert scheduler.accounting([job_id]) == {}


def test_the_jobs_of_a_crashed_node_end_with_it_and_the_node_comes_back(slurm: Cluster, tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    submit(slurm, f"while :; do echo beat >> {beats}; sleep 0.1; done", "--nodelist=n3")
    wait_for(beats.exists)
    slurm.kill_node("n3")
    time.sleep(0.3)
    before = beats.read_text()
    time.sleep(0.5)
    assert beats.read_text() == before
    slurm.start_node("n3")
    job_id = submit(slurm, "exec sleep 60", "--nodelist=n3")
    wait_for(lambda: state(job_id) == "RUNNING")


def test_a_job_that_asks_for_a_gpu_is_told_its_number(slurm: Cluster, tmp_path: Path) -> None:
    for gpus in ("0", "1"):
        submit(slurm, f"echo gpu ${{CUDA_VISIBLE_DEVICES-none}} > {tmp_path}/{gpus}", f"--gpus-per-node={gpus}")
        wait_for((tmp_path / gpus).exists)
        wait_for((tmp_path / gpus).read_text)
    assert [(tmp_path / gpus).read_text() for gpus in ("0", "1")] == ["gpu none\n", "gpu 0\n"]
