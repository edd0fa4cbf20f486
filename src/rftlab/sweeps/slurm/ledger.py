"""What was submitted to the scheduler, written down before and after, so that no job is lost or submitted twice.

A submission is first noted as intended, then handed to `sbatch`, then noted with the id that SLURM gave. A process that
is killed in between leaves an intent without an id; the next one finds out by the job's name what became of it.
"""

import json
import secrets
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rftlab.errors import UserError
from rftlab.files import FileLock, read_json, write_atomic
from rftlab.sweeps.slurm.scheduler import Queued

FOLDER = ".submissions"
PREFIX = "rftlab-"  # of the jobs' names
SBATCH_WAIT_S = 60.0  # a call of sbatch, left by a process that was killed, ends within this
TURN_WAIT_S = 300.0  # another process submits thousands of jobs within this


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One array of jobs; task i of it runs the run folder `folders[i]`."""

    token: str
    sweep: str
    keys: list[str]
    folders: list[str]
    time: float
    job_id: str | None  # None until SLURM has answered
    closed: bool = False  # nothing of it is in the queue any more

    @property
    def job_name(self) -> str:
        return f"{PREFIX}{self.sweep}-{self.token}"

    def tasks(self) -> dict[str, str]:
        """Return key -> id of its task, empty while there is no id."""
        return {} if self.job_id is None else {key: f"{self.job_id}_{task}" for task, key in enumerate(self.keys)}


class Ledger:
    """The submissions of one sweep folder."""

    def __init__(self, sweep_folder: Path) -> None:
        """Look at `sweep_folder/.submissions`, which need not exist."""
        self.folder = sweep_folder / FOLDER
        self.lock = self.folder / "sbatch.lock"  # held by every call of sbatch for as long as it lives

    @property
    def open(self) -> bool:
        """Whether something may be in the queue."""
        return any(not submission.closed for submission in self.submissions())

    @contextmanager
    def turn(self) -> Generator[None]:
        """Keep other processes from submitting, from a look at the queue until what follows from it is submitted.

        Raises:
            UserError: Another process does not end its turn, or a call of `sbatch` hangs.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "turn.lock")
        if not lock.take(TURN_WAIT_S):
            found = f"another process that has submitted jobs of this sweep for {TURN_WAIT_S:.0f} s"
            raise UserError(found, "the end of that", "nothing; try again later, or end that process")
        try:
            self.settle()
            yield
        finally:
            lock.release()

    def path(self, submission: Submission) -> Path:
        """Return the note of a submission; while it has no id, `sbatch` runs only if the note exists."""
        return self.folder / f"{submission.token}.json"

    def intend(self, keys: Sequence[str], folders: Sequence[Path]) -> Submission:
        """Note an array that is about to be submitted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        submission = Submission(
            token=secrets.token_hex(6),
            sweep=self.folder.parent.name,
            keys=list(keys),
            folders=[str(folder.absolute()) for folder in folders],
            time=time.time(),
            job_id=None,
        )
        self._write(submission)
        return submission

    def record(self, submission: Submission, job_id: str) -> Submission:
        """Note the id that SLURM gave."""
        submission = replace(submission, job_id=job_id)
        self._write(submission)
        return submission

    def forget(self, submission: Submission) -> None:
        """Remove the note of a submission that never happened."""
        self.path(submission).unlink(missing_ok=True)

    def submissions(self) -> list[Submission]:
        """Return every submission, oldest first."""
        notes = [read_json(path) for path in self.folder.glob("*.json")]
        return sorted((Submission(**note) for note in notes if note), key=lambda submission: submission.time)

    def reconcile(self, queue: Mapping[str, Queued]) -> dict[str, str]:
        """Give ids to submissions that lack one, close those that ended; returns key -> task id of what is queued.

        Call it in a `turn`, with a queue that was asked for in the same one.
        """
        names = {job.name: job_id.split("_")[0] for job_id, job in queue.items()}
        queued: dict[str, str] = {}
        for submission in self.submissions():
            if submission.closed:
                continue
            if submission.job_id is None:
                if submission.job_name not in names:
                    self.forget(submission)  # never submitted, or over: its run folders tell
                    continue
                submission = self.record(submission, names[submission.job_name])
            alive = {key: task for key, task in submission.tasks().items() if task in queue}
            queued |= alive
            if not alive:
                self._write(replace(submission, closed=True))
        return queued

    def settle(self) -> None:
        """Wait for calls of `sbatch` that outlived the process which made them.

        Raises:
            UserError: One hangs.
        """
        if not self.lock.exists():
            return
        lock = FileLock(self.lock)
        if not lock.take(SBATCH_WAIT_S):
            found = f"a call of sbatch that has run for {SBATCH_WAIT_S:.0f} s ({self.lock} is held)"
            raise UserError(found, "an answer of SLURM", "nothing; see `scontrol ping` and try again")
        lock.release()

    def _write(self, submission: Submission) -> None:
        write_atomic(self.path(submission), json.dumps(asdict(submission), indent=1) + "\n")


def reconciled(ledger: Ledger, queue: Mapping[str, Queued] | None) -> dict[str, str]:
    """Return what a ledger has in the queue; `queue` is None where SLURM does not answer.

    Raises:
        UserError: There is no answer though it matters, so that nobody can say what would be submitted twice.
    """
    if queue is not None:
        return ledger.reconcile(queue)
    if ledger.open:
        found = "jobs that were submitted before, and a squeue that does not answer"
        raise UserError(found, "an answer, so that no job is submitted twice", "nothing; try again later")
    return {}


def ledgers(outputs: Path) -> list[Ledger]:
    """Return the ledgers of all sweeps that were ever submitted."""
    return [Ledger(folder.parent) for folder in sorted(outputs.glob(f"*/{FOLDER}"))]
