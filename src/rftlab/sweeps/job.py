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


def is_done(job: Job) -> bool:
    """Say whether a run is finished, in its own sweep or in another one."""
    if runs.finished(job.folder) is not None:
        return True
    return any(record.done for record in runs.find_key(job.folder.parent.parent, job.key))
