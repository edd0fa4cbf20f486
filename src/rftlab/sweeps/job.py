"""One job of a sweep: a resolved config, the key it gives, and the runs that must be finished before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rftlab import runs


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run that is composed and checked."""

    config: dict[str, Any]
    key: str
    folder: Path
    parents: "tuple[Job, ...]"

    @property
    def name(self) -> str:
        return self.config["name"]


class Feed(Protocol):
    """Where further jobs come from while the first ones run: a search decides as results come in."""

    @property
    def open(self) -> bool:
        """Whether more may come."""
        ...

    def more(self, ended: Mapping[str, str]) -> Sequence[Job]:
        """Look at how jobs have `ended` (key -> state) and how the others go; returns jobs to add, parents first."""
        ...

    def stop(self) -> None:
        """Ask for no more: the jobs that run are being stopped."""
        ...


class NoMore:
    """The feed of a sweep whose jobs are all known when it begins."""

    open = False

    def more(self, ended: Mapping[str, str]) -> Sequence[Job]:
        """Return nothing."""
        return ()

    def stop(self) -> None:
        """Do nothing."""


def levels(jobs: Sequence[Job]) -> dict[str, int]:
    """Map each key to how many of these jobs lie one behind the other before it: 0 where none has to be finished."""
    known = {job.key: job for job in jobs}
    found: dict[str, int] = {}

    def level(key: str) -> int:
        if key not in found:
            found[key] = 1 + max(
                (level(parent.key) for parent in known[key].parents if parent.key in known), default=-1
            )
        return found[key]

    return {key: level(key) for key in known}


def folder_of(job: Job) -> Path:
    """Return where the run of a job is: in its own sweep, or in another one that has finished or started it."""
    if runs.finished(job.folder) is not None:
        return job.folder
    found = [record.folder for record in runs.find_key(job.folder.parent.parent, job.key)]
    finished = [folder for folder in found if runs.finished(folder) is not None]
    return next(iter([*finished, *(folder for folder in found if folder == job.folder), *found]), job.folder)


def is_done(job: Job) -> bool:
    """Say whether a run is finished, in its own sweep or in another one."""
    return runs.finished(folder_of(job)) is not None
