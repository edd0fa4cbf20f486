"""When a job on a cluster goes back into the queue, and when it gives up."""

import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from rftlab import runs
from rftlab.launch import slurm_worker, worker
from rftlab.stop import StopFlag
from rftlab.sweeps.local import DONE, FAILED, STOPPED
from rftlab.sweeps.slurm import scheduler

HOUR = 3600.0


class EndedBySlurm(Exception):
    pass


@pytest.fixture
def requeues(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what is sent back into the queue; SLURM then ends the job."""
    sent: list[str] = []

    def requeue(job_id: str) -> bool:
        sent.append(job_id)
        return True

    def ended_by_slurm(seconds: float) -> None:
        raise EndedBySlurm

    monkeypatch.setattr(scheduler, "requeue", requeue)
    monkeypatch.setattr(slurm_worker, "time", SimpleNamespace(time=time.time, sleep=ended_by_slurm))
    for name, value in {
        "SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", "RFTLAB_TIME_LIMIT_S": str(HOUR),
        "RFTLAB_SIGNAL_DELAY_S": "120", "RFTLAB_MAX_TIME_LIMITS": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return sent


def started(ago: float) -> float:
    return time.time() - ago


def test_a_preempted_job_goes_back_however_often(tmp_path: Path, requeues: list[str]) -> None:
    for _ in range(5):
        with pytest.raises(EndedBySlurm):
            slurm_worker.go_back(tmp_path, started(ago=60))
    assert requeues == ["7_3"] * 5


# SLURM warns 120 s before the limit, and may do so up to a minute early
@pytest.mark.parametrize("ago", [HOUR - 120 - 60, HOUR - 120, HOUR])
def test_a_job_that_reached_its_time_limit_too_often_has_failed(
    tmp_path: Path, requeues: list[str], capsys: pytest.CaptureFixture[str], ago: float
) -> None:
    with pytest.raises(EndedBySlurm):
        slurm_worker.go_back(tmp_path, started(ago))
    with pytest.raises(EndedBySlurm):  # a preemption in between is not counted
        slurm_worker.go_back(tmp_path, started(ago=60))
    runs.freeze(tmp_path, {"name": "run"})
    assert slurm_worker.go_back(tmp_path, started(ago)) == FAILED
    assert "hydra.launcher.timeout_min" in capsys.readouterr().err
    assert runs.state_of(tmp_path) == "failed"  # so that `retry` finds it
    assert len(requeues) == 2


def test_a_raised_time_limit_is_counted_anew(
    tmp_path: Path, requeues: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EndedBySlurm):
        slurm_worker.go_back(tmp_path, started(HOUR))
    monkeypatch.setenv("RFTLAB_TIME_LIMIT_S", str(2 * HOUR))
    with pytest.raises(EndedBySlurm):
        slurm_worker.go_back(tmp_path, started(2 * HOUR))


def test_without_a_known_time_limit_every_signal_is_a_preemption(
    tmp_path: Path, requeues: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RFTLAB_TIME_LIMIT_S")
    for _ in range(3):
        with pytest.raises(EndedBySlurm):
            slurm_worker.go_back(tmp_path, started(ago=100 * HOUR))


def test_a_job_that_slurm_does_not_requeue_ends_as_stopped(
    tmp_path: Path, requeues: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "requeue", lambda job_id: False)
    assert slurm_worker.go_back(tmp_path, started(ago=60)) == STOPPED


def test_a_job_outside_of_arrays_is_requeued_by_its_own_id(
    tmp_path: Path, requeues: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID")
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID")
    with pytest.raises(EndedBySlurm):
        slurm_worker.go_back(tmp_path, started(ago=60))
    assert requeues == ["12"]


@pytest.mark.parametrize(
    ("sent", "code", "goes_back", "waits"),
    [
        ([signal.SIGUSR2], STOPPED, True, True),
        ([signal.SIGUSR2, signal.SIGUSR2], STOPPED, True, True),
        ([signal.SIGTERM, signal.SIGUSR2], STOPPED, True, True),
        ([signal.SIGTERM], STOPPED, False, True),  # scancel kills it, a preemption requeues it
        ([signal.SIGUSR2], DONE, False, False),  # it finished nevertheless
        ([signal.SIGUSR2], FAILED, False, False),
        ([], DONE, False, False),
    ],
)
def test_only_a_warned_job_that_stopped_goes_back(
    tmp_path: Path,
    requeues: list[str],
    monkeypatch: pytest.MonkeyPatch,
    sent: list[signal.Signals],
    code: int,
    goes_back: bool,
    waits: bool,
) -> None:
    def work(folder: Path, stop: StopFlag) -> int:
        assert folder == tmp_path / "run"
        for number in sent:
            signal.raise_signal(number)
        return code

    (tmp_path / "note.json").write_text(f'{{"folders": ["a", "b", "c", "{tmp_path}/run"]}}')
    monkeypatch.setattr(sys, "argv", ["slurm_worker", str(tmp_path / "note.json")])
    monkeypatch.setattr(worker, "work", work)
    monkeypatch.setattr(worker, "redirect_output", lambda folder: None)
    with pytest.raises(EndedBySlurm if waits else SystemExit) as end:
        slurm_worker.main()
    assert requeues == (["7_3"] if goes_back else [])
    if isinstance(end.value, SystemExit):
        assert end.value.code == code
