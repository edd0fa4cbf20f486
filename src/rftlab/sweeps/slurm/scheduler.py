"""Questions and orders to SLURM's commands that end within a time limit; none relies on the accounting database.

A cluster may have no `sacct`, or one that hangs. So `queue` tells what waits and runs, `accounting` tells more where it
can, and what became of a job must be readable from its run folder.
"""

import logging
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rftlab.errors import UserError

__all__ = [
    "Limits", "Queued", "accounting", "available", "cancel", "limits", "plain", "queue", "requeue", "silence",
]  # fmt: skip

# states that nothing follows, but a requeue by hand
FINAL_STATES = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
})  # fmt: skip
RECORD_END = "\x1e"
CHUNK = 500  # job ids in one command
KILL_WAIT_S = 0.5  # a killed process that hangs on a broken file system is left behind
# what SLURM's commands say, in many lines, where a machine knows of no cluster, or its controller is away
NO_CLUSTER = re.compile(r"resolve_ctls_from_dns_srv|fetch_config|configuration source|process configuration file")
NO_CONTROLLER = re.compile(
    r"contact slurm controller|communication connection failure|^Slurmctld.* is DOWN", re.I | re.M
)
# a user's own formats and filters would change the answers, or ask back
USER_DEFAULTS = ("SQUEUE_", "SACCT_", "SCANCEL_")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Queued:
    """A job, or one task of an array, that waits, runs or is being cleaned up."""

    job_id: str  # "123", or "123_4" for a task of an array
    state: str  # PENDING, RUNNING, COMPLETING (ends, or goes back to the queue), SUSPENDED, ...
    reason: str  # why it waits; "None" for a job that runs
    node: str  # empty while it waits
    name: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the cluster allows; None where it does not say."""

    max_array_size: int | None  # one above the largest index of an array


def available() -> bool:
    """Say whether jobs can be submitted from this machine."""
    return shutil.which("sbatch") is not None


def silence(timeout_s: float = 10.0) -> str | None:
    """Say why no controller answers, or None where one does, or where `scontrol` cannot tell."""
    try:
        _run(["scontrol", "ping"], timeout_s)
    except _NotThere:
        return None
    except _NoAnswer as error:
        return str(error)
    return None


def plain(said: str) -> str:
    """Say in one line what a command of SLURM complains about."""
    if NO_CLUSTER.search(said):
        return "this machine knows of no cluster: no slurm.conf, no SLURM_CONF, no record of it in the DNS"
    if NO_CONTROLLER.search(said):
        return "the controller (slurmctld) does not answer"
    return " ".join(said.split())


def queue(names_prefix: str | None = None, timeout_s: float = 10.0) -> dict[str, Queued] | None:
    """Return this user's jobs by id, each task of an array by itself, or None where SLURM gives no answer."""
    fields = "%i|%T|%r|%N|%j" + RECORD_END  # the name comes last: it may hold a "|", even a line break
    command = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", f"--format={fields}"]
    try:
        *records, rest = _run(command, timeout_s).split(RECORD_END + "\n")
        rows = [record.split("|", 4) for record in records]
        if rest or not all(len(row) == 5 for row in rows):
            raise _NoAnswer("squeue printed something that is no list of jobs")
    except _NoAnswer as error:
        _log.warning("the state of the queue is unknown: %s", error)
        return None
    jobs = [
        Queued(job_id=job_id, state=state, reason=reason, node=node, name=name)
        for job_id, state, reason, node, name in rows
    ]
    return {job.job_id: job for job in jobs if job.name.startswith(names_prefix or "")}


def accounting(job_ids: Sequence[str], timeout_s: float = 10.0) -> dict[str, str]:
    """Return the final state of those jobs whose end SLURM has on record; nothing where it keeps or gives no records.

    A job that is about to be requeued has such a record for a moment: one in `queue` has not ended. `timeout_s` is for
    each command of at most `CHUNK` jobs; after the first that fails no other is tried.
    """
    own: dict[str, str] = {}
    shared: dict[str, str] = {}  # of array tasks that never started; SLURM does not strike out those that did later
    arrays = sorted({job_id.split("_")[0] for job_id in job_ids})
    try:
        for ids in _chunks(arrays):
            command = ["sacct", "-X", "-P", "--noheader", "--format=JobID,State", f"--jobs={','.join(ids)}"]
            for line in _run(command, timeout_s).splitlines():
                job_id, _, state = line.partition("|")
                state = state.split(" ")[0]  # "CANCELLED by 1000"
                tasks = _tasks(job_id)
                if tasks is None:
                    own[job_id] = state
                else:
                    shared |= dict.fromkeys(tasks, state)
    except _NoAnswer as error:
        _log.info("no final states from SLURM: %s", error)
    # an array that was held until its end has one record under its own number
    states = {i: own.get(i) or shared.get(i) or own.get(i.split("_")[0], "") for i in job_ids}
    return {job_id: state for job_id, state in states.items() if state in FINAL_STATES}


def limits(timeout_s: float = 10.0) -> Limits:
    """Ask the controller what it allows."""
    try:
        found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _run(["scontrol", "show", "config"], timeout_s), re.MULTILINE)
    except _NoAnswer as error:
        _log.warning("the limits of the cluster are unknown: %s", error)
        found = None
    return Limits(max_array_size=int(found[1]) if found else None)


def cancel(job_ids: Sequence[str], timeout_s: float = 30.0) -> None:
    """Cancel jobs; those that ended before do not matter.

    Raises:
        UserError: SLURM refused, or gave no answer.
    """
    for ids in _chunks(job_ids):
        try:
            _run(["scancel", "--quiet", *ids], timeout_s)
        except _NoAnswer as error:
            raise UserError(
                f"not every job was cancelled: {error}",
                "a cluster that answers (`scontrol ping`), and jobs of your own",
                "nothing, and cancel again",
            ) from error


def requeue(job_id: str, timeout_s: float = 30.0) -> bool:
    """Send a job that runs back into the queue; say whether SLURM did so."""
    try:
        _run(["scontrol", "requeue", job_id], timeout_s)
    except _NoAnswer as error:
        _log.warning("job %s was not requeued: %s", job_id, error)
        return False
    return True


class _NoAnswer(Exception):
    """A command is missing, failed, or took too long; the message says which."""


class _NotThere(_NoAnswer):
    """A command is missing."""


def _run(command: Sequence[str], timeout_s: float) -> str:
    """Return what a command prints, within the time limit and half a second more."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(USER_DEFAULTS)}
    environment["LC_ALL"] = "C"
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise _NotThere(f"{command[0]} cannot be started ({error.strerror})") from None
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise _NoAnswer(f"{command[0]} gave no answer within {timeout_s:g} s") from None
    finally:
        _end(process)
    if process.returncode != 0:
        said = plain(errors or output)
        raise _NoAnswer(said or f"{command[0]} ended with status {process.returncode}")
    return output


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a command that still runs, with all that it started."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        try:
            process.wait(KILL_WAIT_S)
        except subprocess.TimeoutExpired:
            _log.warning("process %d cannot be killed", process.pid)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _chunks(job_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (job_ids[start : start + CHUNK] for start in range(0, len(job_ids), CHUNK))


def _tasks(job_id: str) -> list[str] | None:
    """Return the tasks of a shared record, 7_1, 7_2, 7_3 and 7_8 for 7_[1-3,8%2], or None for the id of one job."""
    array = re.fullmatch(r"(\d+)_\[([\d,:-]+)(?:%\d+)?\]", job_id)
    if array is None:
        return None
    tasks: list[str] = []
    for part in array[2].split(","):
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        tasks += [f"{array[1]}_{i}" for i in range(int(first), int(last or first) + 1, int(step or 1))]
    return tasks
