"""Which runs the commands of a sweep have asked for, kept beside its run folders.

A run has a folder once it is submitted or started. Until then, and where it is refused, this list alone knows of it.
It also tells the runs that somebody asked for from those that these need first (SFT, responses, a reward model).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rftlab.files import disk_errors, read_json, write_atomic
from rftlab.sweeps.job import Job

ASKED = "asked.json"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A run that was asked for, in the words of the command."""

    key: str
    name: str
    seed: int
    overrides: tuple[str, ...]


def note_asked(outputs: Path, sweep: str, jobs: Iterable[Job]) -> None:
    """Add jobs to what was asked for before."""
    path = outputs / sweep / ASKED
    before = read_json(path) or {}
    added = {
        job.key: {"name": job.name, "seed": job.config["seed"], "overrides": list(job.config.get("overrides") or [])}
        for job in jobs
    }
    if any(before.get(key) != value for key, value in added.items()):
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(before | added, indent=1) + "\n")


def read_asked(outputs: Path, sweep: str) -> dict[str, Asked]:
    """Return what was asked for, by run key; empty for sweeps of before this was kept."""
    noted = read_json(outputs / sweep / ASKED) or {}
    return {
        key: Asked(key=key, name=one["name"], seed=one["seed"], overrides=tuple(one["overrides"]))
        for key, one in noted.items()
    }


def forget_asked(sweep_folder: Path, key: str) -> None:
    """Take a run off the list."""
    path = sweep_folder / ASKED
    noted = read_json(path) or {}
    if noted.pop(key, None) is not None:
        write_atomic(path, json.dumps(noted, indent=1) + "\n")
