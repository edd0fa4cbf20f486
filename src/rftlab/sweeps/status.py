"""What became of the runs: run folders joined with the queue, and with the scheduler's records where it keeps any."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.files import read_json
from rftlab.runs.cost import total_steps
from rftlab.runs.records import RunRecord
from rftlab.sweeps.labels import labels
from rftlab.sweeps.outcome import one_line, summary, why_pruned
from rftlab.sweeps.progress import last_step, read_progress
from rftlab.sweeps.slurm import scheduler
from rftlab.sweeps.slurm.ledger import ledgers
from rftlab.sweeps.slurm.logs import last_words, never_started, submission_logs

WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED")
NOT_CLAIMED = ("new", "failed", "lost")  # its own status may not name the job that tried
UNFINISHED = ("failed", "lost")  # what `retry` starts again


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """One run of a sweep, for a table or a script."""

    sweep: str
    name: str
    label: str  # the name, with what tells it from the others of that name in its sweep
    key: str
    state: str  # new | queued | starting | running | ending | done | failed | stopped | pruned | lost
    step: int
    steps: int
    attempt: int
    job_id: str | None  # of SLURM
    host: str | None
    seconds: float | None  # since the start of the last attempt, or until its end
    seconds_per_step: float | None  # these two of a run that is running, where its steps were measured
    seconds_left: float | None
    detail: str
    folder: str
    record: RunRecord | None  # None where it has no folder yet

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, without the record."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "record"}


@dataclass(frozen=True, kw_only=True)
class Queue:
    """What SLURM says of our jobs."""

    jobs: Mapping[str, scheduler.Queued]
    known: bool  # False: SLURM does not answer, and `jobs` is empty
    tasks: Mapping[str, str]  # key -> task id of its last submission
    final: Mapping[str, str]  # task id -> state at its end, where the cluster keeps records


def read_queue(outputs: Path, prefix: str) -> Queue:
    """Ask SLURM about everything that was submitted from these outputs; asks nothing where nothing was."""
    found = [submission for ledger in ledgers(outputs) for submission in ledger.submissions()]
    if not found:
        return Queue(jobs={}, known=True, tasks={}, final={})
    jobs = scheduler.queue(prefix)
    arrays = {job.name: job_id.split("_")[0] for job_id, job in (jobs or {}).items()}
    tasks: dict[str, str] = {}
    for submission in found:  # the submitter of one without an id was killed; its job is known by its name
        tasks |= replace(submission, job_id=submission.job_id or arrays.get(submission.job_name)).tasks()
    ended = sorted(set(tasks.values()) - set(jobs or {}))
    final = scheduler.accounting(ended) if jobs is not None and ended else {}
    return Queue(jobs=jobs or {}, known=jobs is not None, tasks=tasks, final=final)


def statuses(outputs: Path, sweep: str | None, queue: Queue, *, linked: bool = False) -> list[RunStatus]:
    """Return every run under `outputs`, or of one sweep, and the jobs of its last launch that have no folder yet.

    `linked` adds runs that the sweep uses and that lie in other sweeps: to be looked at, not to be touched.
    """
    records = runs.sweep_runs(outputs, sweep) if linked and sweep is not None else runs.find_runs(outputs, sweep)
    told = _labels(records)
    found = [_status(record, told[record.folder], queue) for record in records]
    keys = {status.key for status in found}
    for note in sorted(outputs.glob(f"{sweep or '*'}/launch.json")):
        for key, folder in (read_json(note) or {}).get("jobs", {}).items():
            if key not in keys:
                found.append(_waiting(note.parent / folder, key))
    return found


def _labels(records: Sequence[RunRecord]) -> dict[Path, str]:
    """Return the label of every run folder, sweep by sweep: one run may be in several."""
    by_sweep: dict[str, list[RunRecord]] = {}
    for record in records:
        by_sweep.setdefault(record.sweep, []).append(record)
    found: dict[Path, str] = {}
    for members in by_sweep.values():
        told = labels({r.key: r.name for r in members}, {r.key: r.config for r in members})
        found |= {record.folder: told[record.key] for record in members}
    return found


def _waiting(folder: Path, key: str) -> RunStatus:
    return RunStatus(
        sweep=folder.parent.name, name=folder.name.removesuffix(f"-{key}"),
        label=folder.name.removesuffix(f"-{key}"), key=key, state="new", step=0, steps=0,
        attempt=0, job_id=None, host=None, seconds=None, seconds_per_step=None, seconds_left=None, detail="",
        folder=str(folder),
        record=None,
    )  # fmt: skip


def _status(record: RunRecord, label: str, queue: Queue) -> RunStatus:
    status, task = record.status, queue.tasks.get(record.key)
    queued = queue.jobs.get(task or "")
    state = record.state
    if state == "new" and queue.known and queued is None and task and submission_logs(record.folder.parent, task):
        state = "lost"  # it started and vanished before it could say so
    if queued is not None and state != "done":
        if queued.state in WAITING:
            state = "queued"
        elif queued.state == "COMPLETING":
            state = "ending"
        elif state != "running":
            state = "starting"  # its process loads libraries
    progress = None if state == "done" else read_progress(record.folder)
    steps, each = total_steps(record.config), progress.seconds_per_step if progress and state == "running" else None
    said = _said(record, state, queue, task)
    end = status.get("ended") or (time.time() if state == "running" else status.get("heartbeat"))
    return RunStatus(
        sweep=record.sweep,
        name=record.name,
        label=label,
        key=record.key,
        state=state,
        step=last_step(record.folder) if progress is None else progress.step,
        steps=steps,
        attempt=int(status.get("attempt", 0)),
        job_id=task if queued is not None or state in NOT_CLAIMED else status.get("job_id"),
        host=status.get("host"),
        seconds=end - status["started"] if end and "started" in status else None,
        seconds_per_step=each,
        seconds_left=progress.left_s(steps, each) if progress is not None else None,
        detail=_detail(record, state, progress.in_words(runs.flatten(record.config)) if progress else "", queued, said),
        folder=str(record.folder),
        record=record,
    )


def _detail(record: RunRecord, state: str, progress: str, queued: scheduler.Queued | None, said: str) -> str:
    if state == "done":
        return summary(record.final or {}, record.config)
    if state in ("queued", "starting", "ending") and queued is not None:
        return f"SLURM: {queued.state.lower()}" + (f", {queued.reason}" if queued.reason not in ("", "None") else "")
    if state == "new":
        return said
    if state == "failed":
        return one_line(record.status.get("error"))
    if state == "stopped":
        return record.status.get("reason") or ""
    if state == "pruned":
        return why_pruned(record.folder)
    if state == "lost":
        return f"its process vanished{f'; SLURM: {said}' if said else ''}"
    return progress


def _said(record: RunRecord, state: str, queue: Queue, task: str | None) -> str:
    """Say how SLURM ended a task: its state where the cluster keeps records, and the last complaint."""
    if task is None or task in queue.jobs or state not in ("new", "lost"):
        return ""
    if record.state == "new" and queue.known and (words := never_started(record.folder.parent, task)) is not None:
        return words
    words = [queue.final.get(task), last_words(record.folder.parent, task)]
    return ", ".join(word for word in words if word)


def to_cancel(found: Sequence[RunStatus]) -> list[str]:
    """Return the task ids of what SLURM still has."""
    return [
        run.job_id
        for run in found
        if run.job_id is not None and run.state in ("queued", "starting", "running", "ending")
    ]


def launcher_of(sweep_folder: Path) -> dict[str, Any]:
    """Return the settings of the launcher that a sweep used last; empty where there was none."""
    return (read_json(sweep_folder / "launch.json") or {}).get("launcher", {})
