"""What of finished runs never changes, in one file beside them: thousands of run folders are then read in a second.

The folders stay what counts. An entry is used only while `config.yaml` and `DONE` of its run are the files that it was
made from, by their times, sizes and numbers on the disk. Whatever is missing, older or unreadable is read from the
folders, and once enough of it has come together the file is written anew, in one step: a process that reads meanwhile
has the old one or the new one, and of two that write the later counts. Where nobody may write there is no such file.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rftlab.errors import UserError
from rftlab.files import read_json, write_atomic

FILE = ".finished.json"  # of a sweep
VERSION = 1
FEWEST = 32  # finished runs without an entry, for which the file is written
SHARE = 0.05  # of the entries, likewise
SETTLED_S = 2.0  # a file that was written in this moment may be written again with the same time
Content = dict[str, Any]


@dataclass
class Catalogue:
    """The configs and results of one sweep; `config` reads a config file."""

    folder: Path
    config: Callable[[Path], Content]
    known: dict[str, Any] = field(default_factory=dict)
    used: dict[str, Any] = field(default_factory=dict)
    new: int = 0

    @classmethod
    def of(cls, folder: Path, config: Callable[[Path], Content]) -> "Catalogue":
        """Read the file of a sweep, or begin with nothing."""
        said: Content = {}
        with suppress(OSError):
            said = read_json(folder / FILE) or {}
        runs = said.get("runs")
        return cls(folder, config, runs if said.get("version") == VERSION and isinstance(runs, dict) else {})

    def read(self, folder: Path) -> tuple[Content, Content | None]:
        """Return what `config.yaml` of a run says, and its `DONE`, or None before that."""
        marks = [_mark(folder / "config.yaml"), _mark(folder / "DONE")]
        entry = self.known.get(folder.name)
        if entry is not None and entry["marks"] == marks:
            self.used[folder.name] = entry
            return entry["config"], entry["done"]
        config = self.config(folder / "config.yaml")
        done = None if marks[1] is None else read_json(folder / "DONE")
        if done is not None and _settled(marks) and _as_json(config):
            self.used[folder.name] = {"marks": marks, "config": config, "done": done}
            self.new += 1
        return config, done

    def keep(self) -> None:
        """Write the file anew where enough has changed; not where the disk does not take it."""
        if self.new >= max(FEWEST, SHARE * len(self.used)):
            with suppress(OSError, UserError):
                text = json.dumps({"version": VERSION, "runs": self.used}, separators=(",", ":"))
                write_atomic(self.folder / FILE, text, durable=False)


def _mark(path: Path) -> list[int] | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return [found.st_mtime_ns, found.st_size, found.st_ino]


def _settled(marks: list[list[int] | None]) -> bool:
    return all(mark is not None and mark[0] < (time.time() - SETTLED_S) * 1e9 for mark in marks)


def _as_json(content: Content) -> bool:
    """Say whether JSON gives back the same; NaN, dates and keys that are no texts it does not."""
    try:
        return json.loads(json.dumps(content)) == content
    except (TypeError, ValueError):
        return False
