"""Stored comparisons of two runs: `outputs/comparisons/<key>/`, readable without torch.

    comparison.json    what is compared: the two runs, the judge, the prompts; the key is a hash of it
    questions.jsonl    every prompt with both responses
    verdicts.jsonl     a line per verdict, as it came; what is there is not asked again
    report.json        the numbers, once all is judged

Responses of a run lie in `outputs/comparisons/responses/`, as several comparisons are about them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rftlab.errors import UserError
from rftlab.files import AppendFile, FileLock, disk_errors, read_json, read_lines, write_atomic
from rftlab.runs.identity import KEY_LENGTH, canonical_json

COMPARISONS, RESPONSES = "comparisons", "responses"
ABOUT, QUESTIONS, VERDICTS, REPORT, LOCK = (
    "comparison.json", "questions.jsonl", "verdicts.jsonl", "report.json", ".lock",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One comparison as it is on the disk."""

    folder: Path
    about: dict[str, Any]
    report: dict[str, Any] | None  # None until all is judged

    def verdicts(self) -> list[dict[str, Any]]:
        """Return the verdicts in the order in which they came; a line that a crash tore is left out."""
        return list(read_lines(self.folder / VERDICTS))

    def questions(self) -> list[dict[str, Any]]:
        """Return prompts and responses."""
        return list(read_lines(self.folder / QUESTIONS))


def content_key(content: Mapping[str, Any]) -> str:
    """Return 12 hex digits that identify plain data."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:KEY_LENGTH]


def responses_file(outputs: Path, content: Mapping[str, Any]) -> Path:
    """Say where the responses lie that `content` describes."""
    return outputs / COMPARISONS / RESPONSES / f"{content_key(content)}.jsonl"


def open_comparison(outputs: Path, about: Mapping[str, Any], questions: Sequence[Mapping[str, Any]]) -> Comparison:
    """Make the folder of a comparison, or find the one that is there.

    Raises:
        UserError: The disk did not take it.
    """
    folder = outputs / COMPARISONS / content_key(about)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ABOUT).exists():
        write_atomic(folder / QUESTIONS, "".join(f"{json.dumps(question)}\n" for question in questions))
        write_atomic(folder / ABOUT, json.dumps(about, indent=1) + "\n")
    return Comparison(folder=folder, about=dict(about), report=read_json(folder / REPORT))


def stored_verdicts(outputs: Path, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the verdicts of a comparison; none where it was never opened."""
    return list(read_lines(outputs / COMPARISONS / content_key(about) / VERDICTS))


def find_comparisons(outputs: Path) -> list[Comparison]:
    """Return every comparison under `outputs`, sorted by folder."""
    found = ((path.parent, read_json(path)) for path in sorted(outputs.glob(f"{COMPARISONS}/*/{ABOUT}")))
    return [
        Comparison(folder=folder, about=about, report=read_json(folder / REPORT)) for folder, about in found if about
    ]


class VerdictFile:
    """The verdicts of a comparison while they come: one process at a time, each line on its own."""

    def __init__(self, folder: Path) -> None:
        """Take the folder.

        Raises:
            UserError: Another process works on the comparison.
        """
        self._lock = FileLock(folder / LOCK)
        if not self._lock.take(0.5):
            raise UserError(f"{folder}, on which another process works", "one at a time", "the command: wait for it")
        self._file = AppendFile(folder / VERDICTS)

    def __enter__(self) -> "VerdictFile":
        return self

    def __exit__(self, *of_error: object) -> None:
        with closing(self._file):
            self._file.flush()
        self._lock.release()

    def add(self, verdict: Mapping[str, Any]) -> None:
        """Store a verdict."""
        self._file.append(json.dumps(verdict) + "\n")


def store_report(comparison: Comparison, report: Mapping[str, Any]) -> None:
    """Store the numbers of a comparison in which all is judged."""
    write_atomic(comparison.folder / REPORT, json.dumps(report, indent=1) + "\n")
