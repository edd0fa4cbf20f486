"""A copy of the code as it is now, so that a job which waits for days runs what was submitted."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from rftlab.files import write_atomic
from rftlab.runs.environment import SNAPSHOT_NOTE, code_version

FOLDER = ".snapshots"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info")


def take_snapshot(outputs: Path) -> Path:
    """Copy the source folder to `outputs/.snapshots/<hash>/src`, once per state of the code; returns that folder."""
    source = Path(__file__).resolve().parents[2]
    target = outputs.absolute() / FOLDER / _digest(source)
    if not target.exists():
        aside = target.with_name(f".{target.name}.{os.getpid()}.new")  # another sweep may take the same one now
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(source, aside / "src", ignore=LEFT_OUT)
        write_atomic(aside / SNAPSHOT_NOTE, json.dumps(code_version(source.parent), indent=1) + "\n")
        try:
            aside.replace(target)
        except OSError:
            if not target.exists():
                raise
            shutil.rmtree(aside)
    return target / "src"


def _digest(source: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path):
            digest.update(str(path.relative_to(source)).encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]
