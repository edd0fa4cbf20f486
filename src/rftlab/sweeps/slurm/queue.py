"""Jobs on a SLURM cluster: arrays through submitit, a note of each, and a view of the queue until they have ended.

submitit writes the batch script and calls `sbatch`. What runs is our own worker, which reads the run folder: no pickle
has to arrive after the submission, and a job that is requeued finds its newest checkpoint.
"""

import io
import logging
import shlex
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import submitit
from rich.console import Console
from submitit.core.utils import FailedJobError, FailedSubmissionError

from rftlab import runs
from rftlab.errors import UserError
from rftlab.files import disk_errors
from rftlab.place import program
from rftlab.sweeps.board import Board, View
from rftlab.sweeps.job import Job, folder_of, is_done, levels
from rftlab.sweeps.slurm import scheduler
from rftlab.sweeps.slurm.ledger import Ledger, Submission, reconciled
from rftlab.sweeps.slurm.refusal import refusal
from rftlab.sweeps.slurm.settings import Resources, SlurmSettings, check_resources

UNSEEN_POLLS = 3  # looks at the queue without a job before it counts as gone
LOST_POLLS = 12  # the same where its end is not on the disk: shared disks show files up to a minute late
DEFAULT_ARRAY = 1001  # MaxArraySize of a cluster that does not say
# The lock lives as long as sbatch does; a note that was withdrawn in the meantime stops the submission.
GUARDED_SBATCH = 'exec 9>"$1" && flock 9 && test -e "$2" && exec sbatch "$3"'
# until Python listens, a warning of a preemption would end the job as failed
START = """sh -c 'trap "" USR2; exec "$@"' sh"""
ENDED = ("done", "failed", "stopped")

log = logging.getLogger("rftlab")


class _Executor(submitit.SlurmExecutor):
    """submitit's executor, with a call of `sbatch` that a killed submitter cannot leave in doubt."""

    guard: tuple[str, str] = ("", "")  # lock, note

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        return ["sh", "-c", GUARDED_SBATCH, "sbatch", *self.guard, str(submission_file_path)]


@dataclass(frozen=True)
class _Group:
    """Jobs that may share an array: equal resources, and the same parents that are not finished."""

    resources: Resources
    parents: tuple[str, ...]  # their keys


class SlurmQueue:
    """Submit jobs in arrays as far as the limits allow, and follow them."""

    def __init__(self, jobs: Sequence[Job], sweep_folder: Path, settings: SlurmSettings, source: Path | None) -> None:
        """Take jobs, parents first; `source` is the code they run, None for the code as it is when they start."""
        self.states: dict[str, str] = {}  # key -> how the job ended
        self._jobs = {job.key: job for job in jobs}
        self._pending = list(jobs)
        self._settings = settings
        self._source = source
        self.ledger = Ledger(sweep_folder)
        self._tasks: dict[str, str] = {}  # key -> task id
        self._unseen: dict[str, int] = {}
        self._retry_below: float = inf  # after a refusal: jobs in the queue, fewer of which make room
        self._array_size = settings.max_array_size or scheduler.limits().max_array_size or DEFAULT_ARRAY

    @property
    def finished(self) -> bool:
        return len(self.states) == len(self._jobs)

    @property
    def waiting(self) -> int:
        """Jobs that the limits have kept from being submitted."""
        return len(self._pending)

    @property
    def taken(self) -> set[str]:
        """Keys of the jobs that are or were in the queue."""
        return self._tasks.keys() & self._jobs.keys()

    def adopt(self, queued: Mapping[str, str]) -> None:
        """Follow what is in the queue already instead of submitting it; other jobs may depend on it."""
        self._tasks |= queued
        self._pending = [job for job in self._pending if job.key not in queued]

    def room(self, in_queue: int) -> int:
        """Return how many jobs may be submitted, with `in_queue` jobs there already."""
        limit = self._settings.submit_limit
        return len(self._pending) if limit is None else max(0, limit - in_queue)

    @property
    def was_refused(self) -> bool:
        """Whether SLURM has refused the jobs that wait."""
        return self._retry_below < inf

    @property
    def _followed_to_the_end(self) -> bool:
        """Whether nothing of this sweep is in the queue; what is there belongs to other sweeps."""
        return self.taken <= self.states.keys()

    def may_submit(self, in_queue: int) -> bool:
        """Say whether it is worth asking SLURM to take more, with `in_queue` jobs there."""
        has_room = self._followed_to_the_end or in_queue < self._retry_below
        return bool(self._pending) and self.room(in_queue) > 0 and has_room

    def refused(self, in_queue: int) -> None:
        """Wait until some of what is in the queue has ended; with nothing there, give up the rest."""
        self._retry_below = in_queue
        if self._followed_to_the_end:
            self.states |= {job.key: "skipped" for job in self._pending}
            self._pending.clear()

    def submit(self, in_queue: int) -> Iterator[Submission]:
        """Submit what the limits allow, with `in_queue` jobs there already; yields each array as SLURM takes it.

        Raises:
            UserError: SLURM refuses one; those before it are in the queue.
        """
        room = self.room(in_queue)
        for group, jobs in self._groups().items():
            if any(parent not in self._tasks for parent in group.parents):
                continue  # the limits keep a parent waiting; its children wait with it
            while jobs and room > 0:
                chunk = jobs[: min(room, self._array_size)]
                jobs = jobs[len(chunk) :]
                room -= len(chunk)
                try:
                    submission = self._submit_array(group, chunk)
                finally:  # where the disk is full, what SLURM took cannot be noted, and is in the queue all the same
                    self._pending = [job for job in self._pending if job.key not in self._tasks]
                yield submission

    def _groups(self) -> dict[_Group, list[Job]]:
        """Divide the pending jobs, parents first; a job of which a parent failed is skipped."""
        groups: dict[_Group, list[Job]] = {}
        known = {parent.key: parent for job in self._pending for parent in job.parents}
        done = {key for key, parent in known.items() if is_done(parent)}
        level = levels(self._pending)
        waiting = set(level)
        for job in sorted(self._pending, key=lambda job: level[job.key]):
            parents = tuple(sorted({parent.key for parent in job.parents} - done))
            if any(self._cannot_come(parent, waiting) for parent in parents):
                self._pending.remove(job)
                waiting.remove(job.key)
                self.states[job.key] = "skipped"
                continue
            own = job.config.get("resources") or {}
            groups.setdefault(_Group(self._settings.resources.changed(own), parents), []).append(job)
        first = {parent.key for job in self._pending for parent in job.parents}

        def turn(item: tuple[_Group, list[Job]]) -> tuple[bool, int]:
            return not any(job.key in first for job in item[1]), max(level[job.key] for job in item[1])

        return dict(sorted(groups.items(), key=turn))

    def _cannot_come(self, parent: str, waiting: Collection[str]) -> bool:
        """Say whether a parent that is not finished has failed, or is nowhere in the queue nor about to be."""
        return self.states.get(parent, "done") != "done" or (parent not in self._tasks and parent not in waiting)

    def _submit_array(self, group: _Group, jobs: Sequence[Job]) -> Submission:
        fresh = [job.folder for job in jobs if not job.folder.exists()]
        for job in jobs:
            runs.freeze(job.folder, {**job.config, "runtime": self._runtime(job, group.resources)})
        submission = self.ledger.intend([job.key for job in jobs], [job.folder for job in jobs])
        executor = _Executor(self.ledger.folder / "logs", python=shlex.quote(sys.executable))
        executor.guard = (str(self.ledger.lock), str(self.ledger.path(submission)))
        dependency = [self._tasks[parent] for parent in group.parents]
        try:
            executor.update_parameters(**self._parameters(group.resources, submission, dependency))
            executor.parameters["map_count"] = len(jobs)
            executor.folder.mkdir(parents=True, exist_ok=True)
            with disk_errors(executor.folder):
                note = shlex.quote(str(self.ledger.path(submission)))
                # without srun the batch shell would get the signals; exec puts the worker in its place
                start = START if self._settings.use_srun else f"exec {START}"
                with redirect_stderr(io.StringIO()) as words:  # submitit prints there what a refusal says again
                    made = executor._submit_command(
                        f"{start} {executor.python} -u -m rftlab.launch.slurm_worker {note}"
                    )
        except (FailedJobError, FailedSubmissionError) as error:
            self.ledger.forget(submission)
            for folder in fresh:
                runs.thaw(folder)
            asked = ", ".join(f"{key}={value}" for key, value in asdict(group.resources).items() if value is not None)
            raise refusal(str(error), asked) from None
        sys.stderr.write(words.getvalue())
        self._tasks |= replace(submission, job_id=made.job_id).tasks()
        return self.ledger.record(submission, made.job_id)

    def _runtime(self, job: Job, resources: Resources) -> dict[str, Any]:
        runtime = dict(job.config["runtime"])
        runtime["threads"] = runtime["threads"] or resources.cpus_per_task
        return runtime

    def _parameters(self, resources: Resources, submission: Submission, dependency: Sequence[str]) -> dict[str, Any]:
        settings = self._settings
        gpus = resources.gpus_per_node
        more: dict[str, Any] = {"requeue": True}
        if not settings.use_srun:
            more["signal"] = f"B:USR2@{settings.signal_delay_s}"
        if dependency:
            more |= {"dependency": f"afterok:{':'.join(dependency)}", "kill-on-invalid-dep": "yes"}
        setup = [*settings.setup, f"export RFTLAB_SIGNAL_DELAY_S={settings.signal_delay_s}"]
        setup.append(f"export RFTLAB_MAX_TIME_LIMITS={settings.max_time_limits}")
        if self._source is not None:
            setup.append(f"export PYTHONPATH={shlex.quote(str(self._source))}")
        if resources.timeout_min is not None:
            setup.append(f"export RFTLAB_TIME_LIMIT_S={60 * resources.timeout_min}")
        values: dict[str, Any] = {
            "job_name": submission.job_name,
            "partition": resources.partition,
            "account": settings.account,
            "qos": settings.qos,
            "constraint": settings.constraint,
            "time": resources.timeout_min,
            "nodes": 1,
            "ntasks_per_node": 1,
            "cpus_per_task": resources.cpus_per_task,
            "gpus_per_node": f"{resources.gpu_type}:{gpus}" if gpus and resources.gpu_type else gpus or None,
            "mem": resources.mem_gb and f"{round(resources.mem_gb * 1024)}MB",
            "signal_delay_s": settings.signal_delay_s,
            "array_parallelism": settings.array_parallelism,
            "setup": setup,
            "use_srun": settings.use_srun,
            "additional_parameters": more | settings.sbatch,
        }
        return {name: value for name, value in values.items() if value is not None}

    def follow(self, queue: Mapping[str, scheduler.Queued]) -> list[Job]:
        """Look at run folders and queue; returns the jobs that run now."""
        running = []
        for key, job in self._jobs.items():
            if key in self.states or key not in self._tasks:
                continue
            queued = queue.get(self._tasks[key])
            if queued is not None:
                self._unseen.pop(key, None)
                if queued.state == "RUNNING":
                    running.append(job)
                continue
            state = runs.state_of(folder_of(job))
            if state == "running":  # by another process, or the disk shows its end late
                running.append(job)
                continue
            self._unseen[key] = self._unseen.get(key, 0) + 1
            if state == "done" or self._unseen[key] >= (LOST_POLLS if state == "lost" else UNSEEN_POLLS):
                self.states[key] = self._end(job, state)
        return running

    def _end(self, job: Job, state: str) -> str:
        """Name the end of a job that left the queue; SLURM removes one of which a parent failed before it starts."""
        orphaned = any(not is_done(parent) for parent in job.parents)
        if state == "new" and orphaned:
            return "skipped"
        return state if state in ENDED else "failed"


def run_on_slurm(
    jobs: Sequence[Job],
    queued: Mapping[str, str],
    sweep_folder: Path,
    settings: SlurmSettings,
    source: Path | None,
    console: Console,
    ask_queue: Callable[[], Mapping[str, scheduler.Queued] | None],
) -> dict[str, str]:
    """Submit jobs and, unless `settings.wait` is false, follow them to their ends; returns the state of each by key.

    Ctrl-C leaves the jobs in the queue: the same command follows them again.

    Raises:
        UserError: SLURM refuses the first array. Later refusals leave the rest for the same command.
    """
    for job in jobs:
        check_resources(settings.resources.changed(job.config.get("resources") or {}), settings)
    queue = SlurmQueue(jobs, sweep_folder, settings, source)
    queue.adopt(queued)
    _submit(queue, console, ask_queue)
    if not settings.wait:
        if queue.waiting:
            why = "" if queue.was_refused else " (submit_limit)"
            console.print(f"{queue.waiting} jobs wait for room{why}; the same command submits them")
        left = "skipped" if queue.was_refused else "new"
        return {job.key: queue.states.get(job.key, "queued" if job.key in queue.taken else left) for job in jobs}
    try:
        _follow(queue, jobs, settings, console, ask_queue)
    except KeyboardInterrupt:
        console.print(
            f"the jobs stay in the queue: the same command follows them, `{program('sweep')} cancel` ends them"
        )
        raise
    return queue.states


def _submit(
    queue: SlurmQueue, console: Console, ask_queue: Callable[[], Mapping[str, scheduler.Queued] | None]
) -> None:
    """Submit what there is room for; a refusal after something was taken is told, and the rest waits."""
    with queue.ledger.turn():
        seen = ask_queue()
        queue.adopt(reconciled(queue.ledger, seen))
        in_queue = len(seen or {})
        try:
            for submission in queue.submit(in_queue):
                in_queue += len(submission.keys)
                jobs = f"{len(submission.keys)} job{'s' if len(submission.keys) > 1 else ''}"
                console.print(f"submitted array {submission.job_id}: {jobs}", highlight=False)
        except UserError as error:
            if not queue.taken:
                raise
            console.print(f"warning: {error}", style="yellow", highlight=False, soft_wrap=True)
            queue.refused(in_queue)


def _follow(
    queue: SlurmQueue,
    jobs: Sequence[Job],
    settings: SlurmSettings,
    console: Console,
    ask_queue: Callable[[], Mapping[str, scheduler.Queued] | None],
) -> None:
    with Board(console, jobs, "queued") as board:
        while not queue.finished:
            seen = ask_queue()
            if seen is not None:
                running = queue.follow(seen)
                board.update(View(running=running, waiting=_quiet(queue, jobs, running), ended=queue.states))
                if queue.may_submit(len(seen)):
                    _submit(queue, console, ask_queue)
            time.sleep(settings.poll_s)


def _quiet(queue: SlurmQueue, jobs: Sequence[Job], running: Sequence[Job]) -> int:
    return len(jobs) - len(running) - len(queue.states)
