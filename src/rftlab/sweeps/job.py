"""One job of a sweep: a resolved config, the key it gives, and the runs that must be finished before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
