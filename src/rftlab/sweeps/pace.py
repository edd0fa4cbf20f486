"""How long a sweep still takes, from measured steps: those of its running jobs, and of those that have ended."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rftlab import clock
from rftlab.files import read_json
from rftlab.runs.cost import shape, total_steps
from rftlab.sweeps.job import Job, folder_of
from rftlab.sweeps.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Left:
    """How long all jobs of a sweep still take."""

    seconds: float | None  # None where no job is measured
    unknown: int  # jobs whose steps nobody has measured; they are in no sum

    def in_words(self) -> str:
        """Say how long and until when; what is not measured is not added, and counted instead."""
        if self.seconds is None:
            return f"time left unknown for {self.unknown}" if self.unknown else ""
        known = f"{clock.duration(self.seconds)} left, ends {clock.end(self.seconds)}"
        return f"at least {known} (unknown for {self.unknown})" if self.unknown else known


class Pace:
    """Seconds per step by shape of job, as jobs run and end."""

    def __init__(self, jobs: Sequence[Job], now: Callable[[], float] = time.time) -> None:
        """Know nothing yet of `jobs`."""
        self._jobs = {job.key: job for job in jobs}
        self._shapes: dict[str, str] = {}
        self._ended: dict[str, list[float]] = {}  # shape -> seconds per step of jobs that are done
        self._counted: set[str] = set()
        self._now = now
        self.started = now()

    def add(self, jobs: Sequence[Job]) -> None:
        """Know of more jobs."""
        self._jobs |= {job.key: job for job in jobs}

    @property
    def elapsed(self) -> float:
        """Seconds since the sweep began."""
        return self._now() - self.started

    def of(self, job: Job, progress: Progress | None) -> float | None:
        """Return the seconds per step of a job: its own, else those of jobs of its shape that have ended."""
        if progress is not None and progress.seconds_per_step is not None:
            return progress.seconds_per_step
        like = self._ended.get(self._shape(job))
        return median(like) if like else None

    def left_s(self, job: Job, progress: Progress | None) -> float | None:
        """Return how long a running job still takes."""
        each = self.of(job, progress)
        if progress is not None:
            return progress.left_s(total_steps(job.config), each, self._now())
        return None if each is None else each * total_steps(job.config)

    def left(self, running: Mapping[str, Progress | None], ended: Mapping[str, str]) -> Left:
        """Add up what the jobs still take, as many at a time as run now; `ended` are states by key."""
        self._learn(ended)
        seconds = {key: self.left_s(self._jobs[key], progress) for key, progress in running.items()}
        here = dict.fromkeys(map(self._shape, (self._jobs[key] for key in running)))
        own = {each: self._of_running(each, running) for each in here}
        waiting = self._jobs.keys() - running.keys() - ended.keys()
        for key in [*waiting, *(key for key, value in seconds.items() if value is None)]:
            job = self._jobs[key]
            like = self._ended.get(self._shape(job)) or own.get(self._shape(job))
            seconds[key] = median(like) * total_steps(job.config) if like else None
        known = [value for value in seconds.values() if value is not None]
        if not known:
            return Left(seconds=None, unknown=len(seconds))
        together = max(max(known), sum(known) / max(1, len(running)))
        return Left(seconds=together, unknown=len(seconds) - len(known))

    def _learn(self, ended: Mapping[str, str]) -> None:
        for key in ended.keys() - self._counted:
            self._counted.add(key)
            job = self._jobs.get(key)
            cost = (read_json(folder_of(job) / "DONE") or {}).get("cost") if job is not None else None
            if job is not None and cost:
                self._ended.setdefault(self._shape(job), []).append(cost["seconds_per_step"])

    def _of_running(self, wanted: str, running: Mapping[str, Progress | None]) -> list[float]:
        progresses = [progress for key, progress in running.items() if self._shape(self._jobs[key]) == wanted]
        return [p.seconds_per_step for p in progresses if p is not None and p.seconds_per_step is not None]

    def _shape(self, job: Job) -> str:
        if job.key not in self._shapes:
            self._shapes[job.key] = shape(job.config)
        return self._shapes[job.key]
