"""One job of a sweep: a resolved config, the key it gives, and the run that must be finished before it."""

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
    parent: "Job | None"

    @property
    def name(self) -> str:
        return self.config["name"]


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
