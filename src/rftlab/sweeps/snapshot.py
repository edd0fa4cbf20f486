"""A copy of the code as it is now, so that a job which waits runs what was there when its sweep was started."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from rftlab.files import disk_errors, write_atomic
from rftlab.place import INSTALLED, PACKAGE

FOLDER = ".snapshots"
CACHE = "__pycache__"
NOT_CODE = re.compile(r"\.egg-info$|^\.|~$|\.pyc\.\d+$")  # names of installers, and what editors and Python write aside


def take_snapshot(outputs: Path) -> Path:
    """Copy the source folder to `outputs/.snapshots/<hash>/src`, once per state of the code; returns that folder.

    Of what is installed, our own packages alone are copied: beside them lie all others.

    Compiled files come along: Python uses them as long as they fit their sources, here as there.

    Raises:
        UserError: The folder cannot be written.
    """
    source = PACKAGE.parent
    snapshots = Path(os.path.abspath(outputs)) / FOLDER
    target = snapshots / _digest(source)
    if not target.exists():
        aside = snapshots / f".{target.name}.{os.getpid()}.new"  # another sweep may take the same one now
        with disk_errors(aside):
            shutil.rmtree(aside, ignore_errors=True)
            _copy(source, aside / "src")
            from rftlab.runs.environment import SNAPSHOT_NOTE, version_now  # slow to import, for a new copy alone

            write_atomic(aside / SNAPSHOT_NOTE, json.dumps(version_now(), indent=1) + "\n")
            target = snapshots / _digest(aside / "src")  # of what was copied: somebody may have edited meanwhile
            try:
                aside.replace(target)
            except OSError:
                if not target.exists():
                    raise
                shutil.rmtree(aside)
    return target / "src"


def _files(source: Path) -> Iterator[Path]:
    """Yield the files that make the code, without what is written aside, as paths from `source`."""
    ours = [source / "rftlab", *source.glob("hydra_plugins/rftlab_*.py")] if INSTALLED else [source]
    for path in sorted(path for part in ours for path in (part.rglob("*") if part.is_dir() else [part])):
        place = path.relative_to(source)
        if not any(NOT_CODE.search(part) for part in place.parts) and path.is_file():
            yield place


def _copy(source: Path, target: Path) -> None:
    for place in _files(source):
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / place, target / place)


def _digest(source: Path) -> str:
    digest = hashlib.sha256()
    for place in _files(source):
        if CACHE not in place.parts:
            digest.update(str(place).encode() + b"\0")
            digest.update(hashlib.sha256((source / place).read_bytes()).digest())
    return digest.hexdigest()[:12]
