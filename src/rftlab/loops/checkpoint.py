"""Checkpoints that a crash cannot halve: written aside, on the disk, then renamed; the newest two are kept."""

import logging
import pickle
import re
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rftlab.files import disk_errors, replacing

KEPT = 2  # the newest, and one to fall back to
_UNREADABLE = (RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, OSError, KeyError, ValueError)
_log = logging.getLogger(__name__)


def save(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write `checkpoints/step_<step>.pt` and drop all but the newest two; on failure the older ones stay as they were.

    Files of later steps go too: this run resumed before them, so they were unreadable.

    Raises:
        UserError: the disk did not take it.
        TypeError: the state holds something other than tensors and plain data, which a safe load would refuse.
    """
    target = _folder(folder) / f"step_{step:08d}.pt"
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        for abandoned in target.parent.glob(".*.tmp"):
            abandoned.unlink()
    with replacing(target) as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:
            # When a write fails, torch raises its own error about the archive on top of the one that says why.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise
        _refuse_unsafe(Path(file.name))
    _prune(folder, step)
    return target


def latest(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """Return (step, state) of the newest readable checkpoint on the CPU, or None; warn about each unreadable one."""
    for step, path in reversed(_saved(folder)):
        try:
            _check_sums(path)
            return step, torch.load(path, map_location="cpu", weights_only=True)
        except _UNREADABLE as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            _log.warning("checkpoint %s is unreadable (%s) and left out", path, reason)
    return None


def remove_all(folder: Path) -> None:
    """Remove every checkpoint of a run that no longer needs them."""
    shutil.rmtree(_folder(folder), ignore_errors=True)


def _folder(folder: Path) -> Path:
    return folder / "checkpoints"


def _saved(folder: Path) -> list[tuple[int, Path]]:
    found = ((re.fullmatch(r"step_(\d+)\.pt", path.name), path) for path in _folder(folder).glob("step_*.pt"))
    return sorted((int(match.group(1)), path) for match, path in found if match)


def _check_sums(path: Path) -> None:
    """Compare the archive with its check sums, which torch stores but does not look at when it loads."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} is damaged")


def _prune(folder: Path, newest: int) -> None:
    earlier = [path for step, path in _saved(folder) if step < newest]
    later = [path for step, path in _saved(folder) if step > newest]
    for path in [*earlier[: len(earlier) - KEPT + 1], *later]:
        path.unlink()


def _refuse_unsafe(path: Path) -> None:
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    if names:
        raise TypeError(f"a checkpoint holds tensors and plain data only, found {', '.join(sorted(names))}")
