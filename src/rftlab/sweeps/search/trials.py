"""The course of a search: which runs come next, what they are worth, which of them are given up.

Trials are ordinary runs. This asks the study for one whenever fewer runs are under way than may be, reads how they go
from their folders, and writes into a folder that its run is given up. It is the feed of a launcher.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from statistics import fmean
from typing import Protocol

from rftlab import runs
from rftlab.errors import UserError
from rftlab.files import decode_floats, read_json, read_lines
from rftlab.runs.cost import total_steps
from rftlab.sweeps.comparison import DIVERGED
from rftlab.sweeps.job import Job, folder_of
from rftlab.sweeps.plan import Row, make_plan
from rftlab.sweeps.search.space import Space
from rftlab.sweeps.search.study import Study, Trial

LOOK_S = 1.0  # between two looks at the metrics of runs that go on
MOST_NAMED = 6  # metrics in an error
UNDER_WAY = ("running", "queued")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is tried, and how much of it at a time."""

    n_trials: int  # of the study, those of earlier commands included
    n_jobs: int  # runs that wait or run, below which the next trial is asked for


class Notes(Protocol):
    """Who keeps what a search does."""

    def begun(self, rows: Sequence[Row], asked: Sequence[Job]) -> None:
        """Hear of the runs of a trial, with what these need; `asked` are those of the trial itself."""
        ...

    def changed(self) -> None:
        """Hear that trials have begun or ended."""
        ...


@dataclass(kw_only=True)
class _Open:
    """A trial that has no end yet."""

    trial: Trial
    jobs: dict[int, Job]  # by seed
    looks: dict[str, dict[int, float]] = field(default_factory=dict)  # run key -> step -> value
    sizes: dict[str, int] = field(default_factory=dict)  # run key -> bytes of its metrics that were read


class Trials:
    """The trials of a search, as a feed of jobs."""

    def __init__(
        self,
        study: Study,
        space: Space,
        compose: Callable[[Sequence[str]], Job],
        metric: str,
        judged_by: str | None,
        limits: Limits,
        outputs: Path,
        queued: Collection[str],
        follows: bool,
        notes: Notes,
    ) -> None:
        """Go on with a study; `notes` hear of the runs of each trial.

        `queued` are keys that a cluster has, which this launcher watches over where it `follows`.
        """
        self._study, self._space, self._compose = study, space, compose
        self._metric, self._judged_by = metric, judged_by
        self._limits, self._outputs = limits, outputs
        self._queued, self._follows, self._notes = frozenset(queued), follows, notes
        self._open: list[_Open] = []
        self._launched: set[str] = set()  # keys that were given to the launcher
        self._elsewhere: dict[str, Job] = {}  # under way by another command
        self._adopted = self._stopped = False
        self._looked = -math.inf
        self._ended = 0  # jobs, at the last look

    @property
    def jobs(self) -> list[Job]:
        """The jobs of the trials without an end."""
        return [job for each in self._open for job in each.jobs.values()]

    @property
    def open(self) -> bool:
        """Whether more runs may come."""
        return not self._stopped and (
            not self._adopted or bool(self._elsewhere) or self._study.count < self._limits.n_trials
        )

    def stop(self) -> None:
        """Ask for no more trials."""
        self._stopped = True

    def more(self, ended: Mapping[str, str]) -> list[Job]:
        """Look at the trials, and return the runs that are to be started now; `ended` are states by key.

        Raises:
            UserError: A run has ended without the metric.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_S and len(ended) == self._ended and self._adopted:
            return []
        self._looked, self._ended = now, len(ended)
        before = self._numbers
        jobs: list[Job] = []
        if not self._adopted:
            self._adopted = True
            for trial in self._study.open_trials():
                jobs += self._begin(trial)
        jobs += self._taken_over()
        self._open = [each for each in self._open if not self._has_end(each, ended)]
        while not self._stopped and self._study.count < self._limits.n_trials and self._room(ended) > 0:
            jobs += self._begin(self._study.ask())
            self._open = [each for each in self._open if not self._has_end(each, ended)]
        if self._numbers != before:
            self._notes.changed()
        return jobs

    @property
    def _numbers(self) -> tuple[int, ...]:
        return self._study.count, *(each.trial.number for each in self._open)

    def _room(self, ended: Mapping[str, str]) -> int:
        return self._limits.n_jobs - len(self._launched - ended.keys()) - len(self._elsewhere)

    def _begin(self, trial: Trial) -> list[Job]:
        """Compose the runs of a trial; returns those that have to be started, parents first."""
        jobs = {seed: self._compose(self._space.overrides(trial.words, seed)) for seed in self._space.seeds}
        trial.note_runs({seed: job.key for seed, job in jobs.items()})
        plan = make_plan(jobs.values(), self._outputs, self._queued)
        self._notes.begun(plan.rows, list(jobs.values()))
        self._open.append(_Open(trial=trial, jobs=jobs))
        if any(runs.pruned(job.folder) for job in jobs.values()):
            return []  # an earlier command, or an equal trial, has given them up
        new = []
        for row in plan.rows:
            key = row.job.key
            if key in self._launched or row.state == "done":
                continue
            if row.to_do or (self._follows and key in self._queued):
                runs.take_up(row.job.folder)  # of a parent that another search has given up
                new.append(row.job)
                self._launched.add(key)
            else:
                self._elsewhere[key] = row.job
        return new

    def _taken_over(self) -> list[Job]:
        """Return the runs of other commands that these have left unfinished."""
        left = []
        for key, job in list(self._elsewhere.items()):
            (row, *_) = make_plan([job], self._outputs, self._queued).rows[-1:]
            if row.state in UNDER_WAY:
                continue
            del self._elsewhere[key]
            if row.to_do:
                left.append(job)
                self._launched.add(key)
        return left

    # --- one trial --------------------------------------------------------------------------------------------------

    def _has_end(self, each: _Open, ended: Mapping[str, str]) -> bool:
        """Look at a trial, and tell the study where it has come to an end."""
        final = {seed: runs.finished(folder_of(job)) for seed, job in each.jobs.items()}
        values = {seed: self._value(metrics, each.jobs[seed]) for seed, metrics in final.items() if metrics is not None}
        marks = [mark for job in each.jobs.values() if (mark := runs.pruned(job.folder)) is not None]
        if any(not math.isfinite(value) for value in values.values()) or self._any_diverged(each, ended):
            self._give_up(
                each, {"outcome": "diverged", "reason": f"another seed of trial {each.trial.number} diverged"}
            )
            each.trial.tell_diverged()
            return True
        given_up = self._judged(each)  # also of one that has finished: others are compared with it
        if len(values) == len(each.jobs):
            each.trial.tell_done(values)
            return True
        if marks or given_up is not None:
            if given_up is not None:
                self._give_up(each, given_up)
            if any(mark.get("outcome") == "diverged" for mark in marks):
                each.trial.tell_diverged()
            else:
                each.trial.tell_pruned()
            return True
        return False

    def _value(self, final: Mapping[str, float], job: Job) -> float:
        if self._metric not in final:
            near = get_close_matches(self._metric, final, MOST_NAMED, 0.4) or sorted(final)[:MOST_NAMED]
            raise UserError(
                f"{self._metric}, which {job.name}-{job.key} has not ended with",
                f"a final metric ({', '.join(near)}, ...)",
                "hydra.sweeper.metric",
            )
        return final[self._metric]

    def _any_diverged(self, each: _Open, ended: Mapping[str, str]) -> bool:
        """Say whether the guard of a loop has ended a run, of those that this command has started."""
        failed = [job.folder for job in each.jobs.values() if ended.get(job.key) == "failed"]
        return any(DIVERGED.search(str((read_json(folder / "status.json") or {}).get("error"))) for folder in failed)

    def _judged(self, each: _Open) -> dict[str, object] | None:
        """Tell the study of new looks, which count once all seeds have them; returns why to give the trial up."""
        if self._judged_by is None:
            return None
        looks = [self._looks(each, job) for job in each.jobs.values()]
        for step in sorted(set.intersection(*map(set, looks))):
            value = fmean(own[step] for own in looks)
            if each.trial.judge(step, value):
                reason = f"pruned at step {step} of trial {each.trial.number}: {self._judged_by} {value:.3f}"
                return {"outcome": "pruned", "step": step, "value": value, "reason": reason}
        return None

    def _looks(self, each: _Open, job: Job) -> dict[int, float]:
        """Return what a run has been judged by so far: step -> value, of looks during training."""
        path = folder_of(job) / "metrics.jsonl" if job.key not in self._launched else job.folder / "metrics.jsonl"
        size = path.stat().st_size if path.exists() else 0
        if size != each.sizes.get(job.key, 0):
            last = total_steps(job.config)
            for line in read_lines(path):
                if self._judged_by in line["metrics"] and 0 < line["step"] < last:
                    own = decode_floats({"value": line["metrics"][self._judged_by]})
                    each.looks.setdefault(job.key, {})[line["step"]] = own["value"]
            each.sizes[job.key] = size
        return each.looks.get(job.key, {})

    def _give_up(self, each: _Open, why: Mapping[str, object]) -> None:
        """Give up those runs of a trial that this command has started and that have not ended."""
        for job in each.jobs.values():
            own = job.key in self._launched and runs.state_of(job.folder) in ("new", "running", "stopped", "lost")
            if own and not self._shared(job.key, each):
                runs.prune(job.folder, why)

    def _shared(self, key: str, each: _Open) -> bool:
        """Say whether another open trial has this run, too."""
        return any(key == job.key for other in self._open if other is not each for job in other.jobs.values())
