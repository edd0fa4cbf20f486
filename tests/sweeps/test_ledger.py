"""The ledger of submissions: a process killed between any two of its steps loses no job and submits none twice."""

import subprocess
import time
from pathlib import Path

import pytest

from rftlab.errors import UserError
from rftlab.sweeps.slurm import ledger as ledgers
from rftlab.sweeps.slurm.ledger import Ledger
from rftlab.sweeps.slurm.queue import GUARDED_SBATCH
from rftlab.sweeps.slurm.scheduler import Queued


def in_queue(*ids: str, name: str) -> dict[str, Queued]:
    return {i: Queued(job_id=i, state="PENDING", reason="", node="", name=name) for i in ids}


@pytest.fixture
def book(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "sweep")


def test_an_intent_that_slurm_never_saw_is_forgotten_and_may_be_submitted_again(book: Ledger) -> None:
    book.intend(["a", "b"], [Path("x"), Path("y")])
    assert book.reconcile({}) == {}
    assert book.submissions() == []


def test_an_intent_that_slurm_took_is_found_by_its_name(book: Ledger) -> None:
    submission = book.intend(["a", "b"], [Path("x"), Path("y")])
    assert book.reconcile(in_queue("7_0", "7_1", name=submission.job_name)) == {"a": "7_0", "b": "7_1"}
    assert book.submissions()[0].job_id == "7"


def test_only_tasks_that_are_still_in_the_queue_count(book: Ledger) -> None:
    submission = book.record(book.intend(["a", "b"], [Path("x"), Path("y")]), "7")
    assert book.reconcile(in_queue("7_1", name=submission.job_name)) == {"b": "7_1"}
    assert book.reconcile({}) == {}
    assert book.submissions()[0].closed


def test_the_guard_submits_what_is_still_intended_and_nothing_else(book: Ledger, tmp_path: Path) -> None:
    trace = tmp_path / "submitted"
    (tmp_path / "bin").mkdir()
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text(f'#!/bin/sh\necho "$1" >> {trace}\n')
    sbatch.chmod(0o755)
    submission = book.intend(["a"], [Path("x")])

    def call() -> int:
        arguments = [str(book.lock), str(book.path(submission)), "script.sh"]
        environment = {"PATH": f"{sbatch.parent}:/usr/bin:/bin"}
        return subprocess.run(["sh", "-c", GUARDED_SBATCH, "sbatch", *arguments], env=environment).returncode

    assert call() == 0
    book.forget(submission)
    assert call() != 0
    assert trace.read_text() == "script.sh\n"


def test_a_call_of_sbatch_that_outlived_its_submitter_is_waited_for(
    book: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = book.intend(["a"], [Path("x")])
    (tmp_path / "bin").mkdir()
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text("#!/bin/sh\nsleep 1\n")
    sbatch.chmod(0o755)
    arguments = [str(book.lock), str(book.path(submission)), "script.sh"]
    environment = {"PATH": f"{sbatch.parent}:/usr/bin:/bin"}
    with subprocess.Popen(["sh", "-c", GUARDED_SBATCH, "sbatch", *arguments], env=environment) as orphan:
        while not book.lock.exists():
            time.sleep(0.01)
        time.sleep(0.2)
        monkeypatch.setattr(ledgers, "SBATCH_WAIT_S", 0.1)
        with pytest.raises(UserError, match="sbatch"):
            book.settle()
        monkeypatch.setattr(ledgers, "SBATCH_WAIT_S", 10.0)
        book.settle()
        assert orphan.wait(0.5) == 0
