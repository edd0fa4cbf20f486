"""Commands of SLURM that are missing, fail, print nonsense or hang: every question still ends, and in words."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rftlab.errors import UserError
from rftlab.sweeps.slurm import scheduler

FakeCommand = Callable[[str, str], Path]
END = "\x1e"

FAULTS = {
    "fails": "echo slurm_load_jobs error: no controller >&2; exit 1",
    "hangs": "exec sleep 60",
    "hangs in a child that holds the output": "sleep 60 & wait",
    "leaves a child that holds the output": "sleep 60 &",
    "hangs and ignores SIGTERM": "trap '' TERM; while :; do sleep 1; done",
}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCommand:
    """Put a shell script first on the PATH: `fake(name, script)`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, script: str) -> Path:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        return folder

    return make


def timed(ask: Callable[[], object], limit_s: float) -> object:
    started = time.monotonic()
    answer = ask()
    assert time.monotonic() - started < limit_s
    return answer


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_no_fault_of_a_command_is_fatal_or_waited_for(fake: FakeCommand, fault: str) -> None:
    for name in ("squeue", "sacct", "scontrol", "scancel"):
        fake(name, fault)
    assert timed(lambda: scheduler.queue(timeout_s=0.1), 1.1) is None
    assert timed(lambda: scheduler.accounting(["7_1", "8"], timeout_s=0.1), 1.1) == {}
    assert timed(lambda: scheduler.limits(timeout_s=0.1), 1.1) == scheduler.Limits(max_array_size=None)
    assert timed(lambda: scheduler.requeue("7", timeout_s=0.1), 1.1) is False
    with pytest.raises(UserError, match="not every job was cancelled"):
        timed(lambda: scheduler.cancel(["7"], timeout_s=0.1), 1.1)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'Slurmctld(primary) at head is UP'", None),
        ("echo 'Slurmctld(primary) at head is DOWN'; exit 1", "the controller (slurmctld) does not answer"),
        ("echo 'scontrol: error: fetch_config: DNS SRV lookup failed' >&2; exit 1", "this machine knows of no cluster"),
        ("exec sleep 60", "scontrol gave no answer within 0.1 s"),
    ],
)
def test_a_launch_asks_first_whether_there_is_a_cluster(fake: FakeCommand, script: str, why: str | None) -> None:
    fake("scontrol", script)
    said = timed(lambda: scheduler.silence(timeout_s=0.1), 1.1)
    assert said is None if why is None else str(said).startswith(why)


def test_no_missing_command_is_fatal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert scheduler.queue() is None
    assert scheduler.accounting(["7"]) == {}
    assert scheduler.limits().max_array_size is None
    assert not scheduler.requeue("7")
    with pytest.raises(UserError, match="scancel cannot be started"):
        scheduler.cancel(["7"])


def test_one_warning_says_why_the_queue_is_unknown(fake: FakeCommand, caplog: pytest.LogCaptureFixture) -> None:
    for script, words in [
        ("exec sleep 60", "no answer within 0.2 s"),
        ("echo no controller >&2; exit 1", "controller"),
    ]:
        fake("squeue", script)
        caplog.clear()
        scheduler.queue(timeout_s=0.2)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert words in record.getMessage()


def test_a_command_that_hangs_is_killed_with_its_children(fake: FakeCommand, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    fake("squeue", f"sleep 60 & echo $! > {pid}; wait")
    scheduler.queue(timeout_s=0.5)
    deadline = time.monotonic() + 5.0
    while _lives(int(pid.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "printed",
    ["Connecting...", f"1|PENDING|None||a{END}\n2|RUN", f"1|PENDING|None||a{END}\n2|RUNNING{END}\n"],
    ids=["no list", "cut off", "a field missing"],
)
def test_half_a_list_is_no_list(fake: FakeCommand, tmp_path: Path, printed: str) -> None:
    (tmp_path / "printed").write_text(printed)
    fake("squeue", f"cat {tmp_path}/printed")
    assert scheduler.queue() is None


def test_an_empty_queue_is_known_to_be_empty(fake: FakeCommand) -> None:
    fake("squeue", "exit 0")
    assert scheduler.queue() == {}


def test_commands_are_asked_in_english_and_without_the_users_defaults(
    fake: FakeCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_XX")
    monkeypatch.setenv("SQUEUE_STATES", "COMPLETED")
    monkeypatch.setenv("SLURM_CONF", "kept")
    fake("squeue", f'cat; echo "$LC_ALL-$SQUEUE_STATES-$SLURM_CONF" > {tmp_path}/asked')
    assert scheduler.queue() == {}
    assert (tmp_path / "asked").read_text() == "C--kept\n"


def test_final_states_are_those_of_the_asked_tasks(fake: FakeCommand) -> None:
    records = [
        "7_1|COMPLETED", "7_2|RUNNING", "7_[1-4,6-9:2%2]|CANCELLED by 1000", "70_1|FAILED", "8|PREEMPTED",
        "9|OUT_OF_MEMORY", "11|CANCELLED by 0", "12|REQUEUED", "13_[0-1]|PENDING",
    ]  # fmt: skip
    fake("sacct", "\n".join(f"echo '{record}'" for record in records))
    asked = [*(f"7_{task}" for task in range(10)), "8", "9", "11_5", "12", "13_0", "14"]
    assert scheduler.accounting(asked) == {
        "7_1": "COMPLETED",
        **dict.fromkeys(["7_3", "7_4", "7_6", "7_8"], "CANCELLED"),
        "8": "PREEMPTED",
        "9": "OUT_OF_MEMORY",
        "11_5": "CANCELLED",
    }


def test_states_found_before_a_failure_are_kept(fake: FakeCommand, tmp_path: Path) -> None:
    fake("sacct", f"[ -e {tmp_path}/once ] && exit 1; touch {tmp_path}/once; echo '1|FAILED'")
    assert scheduler.accounting([str(i) for i in range(1, 2000)]) == {"1": "FAILED"}


def test_many_jobs_are_cancelled_in_commands_of_bearable_length(fake: FakeCommand, tmp_path: Path) -> None:
    fake("scancel", f'shift; echo "$@" >> {tmp_path}/cancelled')
    jobs = [f"7_{task}" for task in range(1234)]
    scheduler.cancel(jobs)
    commands = (tmp_path / "cancelled").read_text().splitlines()
    assert " ".join(commands).split() == jobs
    assert max(len(command.split()) for command in commands) <= 500


def test_a_refused_cancellation_says_what_scancel_said(fake: FakeCommand) -> None:
    fake("scancel", "echo scancel: error: Access/permission denied >&2; exit 1")
    with pytest.raises(UserError, match=r"Access/permission denied.*expected.*change"):
        scheduler.cancel(["7"])
