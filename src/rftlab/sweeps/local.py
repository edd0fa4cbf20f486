"""Jobs on this machine: a bounded number at a time, each in a fresh process that a warm parent forks.

The fork server (`fork_server.py`) has imported the libraries, so that a job starts in well under a second, with no
state of the job before it. When the process that launched the sweep dies, its jobs save and stop.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from rich.console import Console

from rftlab import runs
from rftlab.errors import UserError
from rftlab.sweeps.board import Board, View
from rftlab.sweeps.fork_server import lives, start_process, wait_for_server
from rftlab.sweeps.job import Feed, Job, NoMore, is_done

POLL_S = 0.2  # between two looks at the progress of the jobs
# exit codes of a job; 75 is EX_TEMPFAIL of sysexits.h: try again
DONE, FAILED, STOPPED, ELSEWHERE, PRUNED = 0, 1, 75, 76, 77
NO_WORD = 255  # the fork server has ended, so that nobody tells how a job ends, or whether it has
STATES = {DONE: "done", STOPPED: "stopped", ELSEWHERE: "running", PRUNED: "pruned"}  # every other code is a failure

# run folder, its GPU, what breaks when the launcher dies; it calls `receive_stops` when it can be asked to stop
Work = Callable[[Path, str, Connection], None]


class Watcher(Protocol):
    """Who is told when a job begins and when its process has ended."""

    def begin(self, job: Job) -> None: ...

    def end(self, job: Job) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Slots:
    """How many jobs run at a time, and what each may use."""

    threads: int  # of one job
    gpus: tuple[str, ...]  # of each slot: a value of CUDA_VISIBLE_DEVICES; empty strings where there is no GPU

    @property
    def count(self) -> int:
        return len(self.gpus)


def make_slots(count: int | None, threads: int | None, cores: int, gpus: Sequence[str]) -> Slots:
    """Divide a machine: one slot per GPU, or without GPUs one per core; threads so that all slots fit the cores.

    Raises:
        UserError: More slots than cores, or slots times threads above the cores.
    """
    if count is not None and count < 1:
        raise UserError(f"hydra.launcher.slots={count}", "1 or more, or null", "hydra.launcher.slots")
    slots = count or (len(gpus) or max(1, cores // (threads or 1)))
    if gpus and slots > len(gpus):
        found = f"hydra.launcher.slots={slots} on {len(gpus)} GPUs"
        raise UserError(found, f"at most {len(gpus)}, one job per GPU", "hydra.launcher.slots")
    if slots * (threads or 1) > cores:
        found = f"{slots} slots x {threads or 1} threads on {cores} cores"
        change = "hydra.launcher.slots" if threads is None else "hydra.launcher.slots or runtime.threads"
        raise UserError(found, f"at most {cores} together", change)
    return Slots(threads=threads or cores // slots, gpus=tuple(gpus[:slots]) or ("",) * slots)


def visible_gpus() -> list[str]:
    """Return the GPUs that jobs may use, as values of CUDA_VISIBLE_DEVICES, without a GPU library."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [gpu for gpu in visible.split(",") if gpu.strip() not in ("", "-1")]
    return [str(index) for index, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]


@dataclass(kw_only=True)
class Running:
    """A job that has a process."""

    job: Job
    process: BaseProcess
    slot: int

    @property
    def alive(self) -> bool:
        """Say whether it goes on; without the fork server, the system tells."""
        return self.process.is_alive() or (self.process.exitcode == NO_WORD and lives(self.process.pid or 0))

    @property
    def end(self) -> str:
        """Say how it ended."""
        if self.process.exitcode == NO_WORD:
            state = runs.state_of(self.job.folder)
            return state if state in ("done", "stopped", "pruned") else "failed"
        return STATES.get(self.process.exitcode or 0, "failed")


class LocalPool:
    """Run jobs in slots, parents before their children; a failed parent skips its children, nothing else."""

    def __init__(self, jobs: Iterable[Job], work: Work, slots: Slots, watcher: Watcher | None = None) -> None:
        """Take jobs in the order in which they shall start."""
        self.states: dict[str, str] = {}  # key -> how the job ended
        self.running: list[Running] = []
        self.stopping = False
        self.trouble: UserError | None = None  # why no further job can be started
        self._asked, self._heeded = 0, 0  # times
        self._pending = list(jobs)
        self._keys = {job.key for job in self._pending}
        self._work = work
        self._slots = slots
        self._watcher = watcher
        self._free = list(range(slots.count))[::-1]
        self._context = multiprocessing.get_context("forkserver")
        self._sign_of_life, self._held = self._context.Pipe(duplex=False)

    @property
    def finished(self) -> bool:
        return not self._pending and not self.running

    def add(self, jobs: Iterable[Job]) -> None:
        """Take more jobs, behind those that wait."""
        jobs = list(jobs)
        self._pending += jobs
        self._keys |= {job.key for job in jobs}

    def step(self) -> None:
        """Start what can start, wait a moment, collect what has ended."""
        self._heed()
        self._start_ready()
        if self.running:
            told = [r.process.sentinel for r in self.running if r.process.exitcode != NO_WORD]
            wait(told, timeout=POLL_S)
        elif not self._pending:  # of a feed that waits for another command's run
            time.sleep(POLL_S)
        self._heed()
        for running in [running for running in self.running if not running.alive]:
            running.process.join()
            self.running.remove(running)
            self._free.append(running.slot)
            killed = self.stopping and running.process.exitcode == -signal.SIGKILL  # by `kill`: no failure of its own
            self.states[running.job.key] = "stopped" if killed else running.end
            running.process.close()
            if self._watcher is not None:
                self._watcher.end(running.job)

    def ask(self) -> None:
        """Ask for `stop`, and a second time for `kill`, from a signal handler: nothing is changed but a number."""
        self._asked += 1

    def _heed(self) -> None:
        while self._heeded < self._asked:
            self._heeded += 1
            if self.stopping:
                self.kill()
            else:
                self.stop()

    def stop(self) -> None:
        """Start nothing more and ask the running jobs to save and stop."""
        self.stopping = True
        self._skip_pending()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the running jobs at once; they resume from their newest checkpoints."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Let go of jobs that still run, if an error is what ends the sweep: they save and stop."""
        self._held.close()
        self._sign_of_life.close()

    def _skip_pending(self) -> None:
        self.states |= {job.key: "skipped" for job in self._pending}
        self._pending.clear()

    def _signal(self, number: signal.Signals) -> None:
        for running in self.running:
            if running.process.pid is not None and running.alive:
                with suppress(ProcessLookupError, PermissionError):  # it ends in this moment
                    os.kill(running.process.pid, number)

    def _start_ready(self) -> None:
        for job in list(self._pending):
            if runs.pruned(job.folder) is not None:
                self._pending.remove(job)
                self.states[job.key] = "pruned"
            elif any(self._cannot_come(parent) for parent in job.parents):
                self._pending.remove(job)
                self.states[job.key] = "skipped"
            elif any(parent.key in self._keys and parent.key not in self.states for parent in job.parents):
                continue  # its turn comes
            elif self._free:
                self._pending.remove(job)
                self._start(job, self._free.pop())
                self._heed()
            if not self._pending:  # the rest was skipped
                return

    def _cannot_come(self, parent: Job) -> bool:
        """Say whether a parent is neither finished nor going to be: one of these jobs that failed, or none of them."""
        if parent.key in self._keys:
            return self.states.get(parent.key, "done") != "done"
        return not is_done(parent)

    def _start(self, job: Job, slot: int) -> None:
        config: dict[str, Any] = {**job.config, "runtime": {**job.config["runtime"], "threads": self._slots.threads}}
        arguments = (job.folder, self._slots.gpus[slot], self._sign_of_life)
        process = self._context.Process(target=self._work, args=arguments, name=job.key)
        try:
            runs.freeze(job.folder, config)
            start_process(process)
        except UserError as error:  # what stops this job stops all that wait; those that run go on
            if not (self.running or self.states):
                raise
            self.trouble, self.states[job.key] = error, "failed"
            self._free.append(slot)
            self._skip_pending()
            return
        self.running.append(Running(job=job, process=process, slot=slot))
        if self._watcher is not None:
            self._watcher.begin(job)


def run_jobs(
    jobs: Sequence[Job],
    work: Work,
    slots: Slots,
    console: Console,
    watcher: Watcher | None = None,
    feed: Feed | None = None,
) -> dict[str, str]:
    """Run jobs to their ends under a live table; returns the state of each by key.

    `feed` is asked for more of them as long as it is open. The first Ctrl-C asks the running jobs to save and stop, the
    second one kills them.
    """
    with console.status("importing the libraries"):
        wait_for_server()  # a Ctrl-C ends the sweep here, as nothing has begun
    pool = LocalPool(jobs, work, slots, watcher)
    feed = NoMore() if feed is None else feed
    known = len(jobs)
    told: set[str] = set()

    def tell(said: str) -> None:
        if said not in told:
            console.print(said, highlight=False, soft_wrap=True)
            told.add(said)

    try:
        with Board(console, jobs, "waiting") as board, _on_interrupt(pool.ask):
            while not pool.finished or (feed.open and not pool.stopping):
                new = feed.more(pool.states)
                board.add(new)
                pool.add(new)
                known += len(new)
                pool.step()
                if pool.stopping or pool.trouble is not None:
                    feed.stop()
                if pool.stopping:
                    tell("stopping: the running jobs save and end at their next step (Ctrl-C again kills them)")
                if pool.trouble is not None:
                    tell(f"error: {pool.trouble}; the running jobs go on")
                waiting = known - len(pool.running) - len(pool.states)
                board.update(View(running=[r.job for r in pool.running], waiting=waiting, ended=pool.states))
    finally:
        pool.close()
    return pool.states


@contextmanager
def _on_interrupt(ask: Callable[[], None]) -> Generator[None]:
    def handle(number: int, frame: FrameType | None) -> None:
        ask()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
