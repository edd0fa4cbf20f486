"""Jobs on a SLURM cluster: arrays through submitit, a note of each, and a view of the queue until they have ended.

submitit writes the batch script and calls `sbatch`. What runs is our own worker, which reads the run folder: no pickle
has to arrive after the submission, and a job that is requeued finds its newest checkpoint.
"""

import logging
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import submitit
from rich.console import Console
from submitit.core.utils import FailedJobError, FailedSubmissionError

from rftlab import runs
from rftlab.errors import UserError
from rftlab.files import disk_errors
from rftlab.sweeps import scheduler
from rftlab.sweeps.board import Board, View
from rftlab.sweeps.job import Job, folder_of, is_done
from rftlab.sweeps.ledger import Ledger, Submission, reconciled

UNSEEN_POLLS = 3  # looks at the queue without a job before it counts as gone
LOST_POLLS = 12  # the same where its end is not on the disk: shared disks show files up to a minute late
DEFAULT_ARRAY = 1001  # MaxArraySize of a cluster that does not say
# The lock lives as long as sbatch does; a note that was withdrawn in the meantime stops the submission.
GUARDED_SBATCH = 'exec 9>"$1" && flock 9 && test -e "$2" && exec sbatch "$3"'
# until Python listens, a warning of a preemption would end the job as failed
START = """sh -c 'trap "" USR2; exec "$@"' sh"""
ENDED = ("done", "failed", "stopped")

log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job asks for; a job's own `resources` replace those of the launcher one by one."""

    partition: str | None = None
    gpus_per_node: int | None = None
    gpu_type: str | None = None
    cpus_per_task: int | None = None
    mem_gb: float | None = None
    timeout_min: int | None = None

    def changed(self, own: Mapping[str, Any]) -> "Resources":
        """Return these with what a job sets itself."""
        return replace(self, **{name: value for name, value in own.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class SlurmSettings:
    """Everything about a cluster that is the same for all jobs of a sweep."""

    resources: Resources
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    array_parallelism: int = 256
    setup: list[str] = field(default_factory=list)
    signal_delay_s: int = 120
    max_time_limits: int = 20
    max_array_size: int | None = None
    submit_limit: int | None = None
    wait: bool = True
    poll_s: float = 5.0
    use_srun: bool = True
    sbatch: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SlurmSettings":
        """Make settings from plain data in which resources stand beside the rest."""
        names = {f.name for f in fields(Resources)}
        resources = Resources(**{name: value for name, value in values.items() if name in names})
        return cls(resources=resources, **{name: value for name, value in values.items() if name not in names})

    def to_dict(self) -> dict[str, Any]:
        """Invert `from_dict`."""
        plain = asdict(self)
        return {**plain.pop("resources"), **plain}


def check_resources(asked: Resources, settings: SlurmSettings) -> None:
    """Refuse what cannot work on any cluster.

    Raises:
        UserError: A time limit that ends with its own warning, or a type of GPU without a number.
    """
    limit, delay = asked.timeout_min, settings.signal_delay_s
    if limit is not None and 60 * limit <= delay + 60:
        raise UserError(
            f"timeout_min={limit}, which SLURM announces {delay} s before its end",
            f"more than signal_delay_s={delay} plus a minute",
            "hydra.launcher.timeout_min, hydra.launcher.signal_delay_s or resources.timeout_min",
        )
    if asked.gpu_type is not None and not asked.gpus_per_node:
        raise UserError(
            f"gpu_type={asked.gpu_type} without GPUs",
            "a number of them",
            "hydra.launcher.gpus_per_node or resources.gpus_per_node",
        )


class _Executor(submitit.SlurmExecutor):
    """submitit's executor, with a call of `sbatch` that a killed submitter cannot leave in doubt."""

    guard: tuple[str, str] = ("", "")  # lock, note

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        return ["sh", "-c", GUARDED_SBATCH, "sbatch", *self.guard, str(submission_file_path)]


@dataclass(frozen=True)
class _Group:
    """Jobs that may share an array: equal resources, and one parent or none."""

    resources: Resources
    parent: str | None


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
        self._array_size = settings.max_array_size or scheduler.limits().max_array_size or DEFAULT_ARRAY

    @property
    def finished(self) -> bool:
        return len(self.states) == len(self._jobs)

    @property
    def waiting(self) -> int:
        """Jobs that the limits have kept from being submitted."""
        return len(self._pending)

    def adopt(self, queued: Mapping[str, str]) -> None:
        """Follow what is in the queue already instead of submitting it; other jobs may depend on it."""
        self._tasks |= queued
        self._pending = [job for job in self._pending if job.key not in queued]

    def room(self, in_queue: int) -> int:
        """Return how many jobs may be submitted, with `in_queue` jobs there already."""
        limit = self._settings.submit_limit
        return len(self._pending) if limit is None else max(0, limit - in_queue)

    def submit(self, in_queue: int) -> list[Submission]:
        """Submit what the limits allow, with `in_queue` jobs there already; returns the new arrays.

        Raises:
            UserError: SLURM refuses.
        """
        made = []
        room = self.room(in_queue)
        for group, jobs in self._groups().items():
            if group.parent is not None and group.parent not in self._tasks:
                continue  # the limits keep the parent waiting; its children wait with it
            while jobs and room > 0:
                chunk = jobs[: min(room, self._array_size)]
                jobs = jobs[len(chunk) :]
                room -= len(chunk)
                made.append(self._submit_array(group, chunk))
                submitted = {job.key for job in chunk}
                self._pending = [job for job in self._pending if job.key not in submitted]
        return made

    def _groups(self) -> dict[_Group, list[Job]]:
        """Divide the pending jobs, parents first; a job whose parent failed is skipped."""
        groups: dict[_Group, list[Job]] = {}
        parents = {job.parent.key: job.parent for job in self._pending if job.parent is not None}
        done = {key for key, parent in parents.items() if is_done(parent)}
        for job in list(self._pending):
            parent = job.parent.key if job.parent is not None and job.parent.key not in done else None
            coming = parent is None or parent in self._tasks or any(parent == other.key for other in self._pending)
            if not coming or self.states.get(parent or "", "done") != "done":
                self._pending.remove(job)
                self.states[job.key] = "skipped"
                continue
            own = job.config.get("resources") or {}
            groups.setdefault(_Group(self._settings.resources.changed(own), parent), []).append(job)
        first = {job.parent.key for job in self._pending if job.parent is not None}
        return dict(sorted(groups.items(), key=lambda item: not any(job.key in first for job in item[1])))

    def _submit_array(self, group: _Group, jobs: Sequence[Job]) -> Submission:
        for job in jobs:
            runs.freeze(job.folder, {**job.config, "runtime": self._runtime(job, group.resources)})
        submission = self.ledger.intend([job.key for job in jobs], [job.folder for job in jobs])
        executor = _Executor(self.ledger.folder / "logs", python=shlex.quote(sys.executable))
        executor.guard = (str(self.ledger.lock), str(self.ledger.path(submission)))
        dependency = self._tasks.get(group.parent or "")
        try:
            executor.update_parameters(**self._parameters(group.resources, submission, dependency))
            executor.parameters["map_count"] = len(jobs)
            executor.folder.mkdir(parents=True, exist_ok=True)
            with disk_errors(executor.folder):
                note = shlex.quote(str(self.ledger.path(submission)))
                # without srun the batch shell would get the signals; exec puts the worker in its place
                start = START if self._settings.use_srun else f"exec {START}"
                made = executor._submit_command(f"{start} {executor.python} -u -m rftlab.entry.slurm_worker {note}")
        except (FailedJobError, FailedSubmissionError) as error:
            self.ledger.forget(submission)
            said = [line for line in str(error).splitlines() if line.startswith("sbatch: error: ")]
            reason = "; ".join(line.removeprefix("sbatch: error: ") for line in said) or str(error).splitlines()[-1]
            asked = ", ".join(f"{key}={value}" for key, value in asdict(group.resources).items() if value is not None)
            raise UserError(
                f"SLURM refuses the jobs ({asked or 'defaults'}): {reason}",
                "an array that sbatch takes",
                "hydra.launcher",
            ) from None
        submission = self.ledger.record(submission, made.job_id)
        self._tasks |= submission.tasks()
        return submission

    def _runtime(self, job: Job, resources: Resources) -> dict[str, Any]:
        runtime = dict(job.config["runtime"])
        runtime["threads"] = runtime["threads"] or resources.cpus_per_task
        return runtime

    def _parameters(self, resources: Resources, submission: Submission, dependency: str | None) -> dict[str, Any]:
        settings = self._settings
        gpus = resources.gpus_per_node
        more: dict[str, Any] = {"requeue": True}
        if not settings.use_srun:
            more["signal"] = f"B:USR2@{settings.signal_delay_s}"
        if dependency is not None:
            more |= {"dependency": f"afterok:{dependency}", "kill-on-invalid-dep": "yes"}
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
        """Name the end of a job that left the queue; SLURM removes one whose parent failed before it starts."""
        orphaned = job.parent is not None and not is_done(job.parent)
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
            console.print(f"{queue.waiting} jobs wait for room (submit_limit); the same command submits them")
        return {job.key: "queued" for job in jobs}
    try:
        _follow(queue, jobs, settings, console, ask_queue)
    except KeyboardInterrupt:
        console.print(
            "the jobs stay in the queue: the same command follows them, `python src/sweep.py cancel` ends them"
        )
        raise
    return queue.states


def _submit(
    queue: SlurmQueue, console: Console, ask_queue: Callable[[], Mapping[str, scheduler.Queued] | None]
) -> None:
    with queue.ledger.turn():
        seen = ask_queue()
        queue.adopt(reconciled(queue.ledger, seen))
        _tell(console, queue.submit(len(seen or {})))


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
                if queue.waiting and queue.room(len(seen)) > 0:
                    _submit(queue, console, ask_queue)
            time.sleep(settings.poll_s)


def _quiet(queue: SlurmQueue, jobs: Sequence[Job], running: Sequence[Job]) -> int:
    return len(jobs) - len(running) - len(queue.states)


def _tell(console: Console, made: Iterable[Submission]) -> None:
    for submission in made:
        tasks = len(submission.keys)
        console.print(f"submitted array {submission.job_id}: {tasks} job{'s' if tasks > 1 else ''}", highlight=False)
