"""Files of prompts, responses and targets: JSON lines, CSV or Parquet."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from rftlab.errors import UserError, unwritable

COLUMNS = ("prompt", "response", "targets")
READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    ".jsonl": lambda path: pd.DataFrame([json.loads(line) for line in path.read_text("utf-8").splitlines() if line]),
    ".csv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False),
    ".parquet": pd.read_parquet,
}


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Rows of a file, each a prompt, a response and the gold texts of the prompt."""

    prompts: list[str]
    responses: list[str]
    targets: list[tuple[str, ...]]

    def between(self, start: int, end: int) -> tuple[list[str], list[str], list[tuple[str, ...]]]:
        """Return prompts, responses and targets of some rows."""
        return self.prompts[start:end], self.responses[start:end], self.targets[start:end]


def read(path: Path) -> Pairs:
    """Read a file by its ending; a column `prompt` or `targets` may be missing: prompts are then empty, targets none.

    Raises:
        UserError: The file cannot be read, lacks responses, or holds something else than texts.
    """
    reader = READERS.get(path.suffix)
    if reader is None:
        raise UserError(f"file={path}", f"a file that ends in {', '.join(READERS)}", "file")
    try:
        frame = reader(path)
    except FileNotFoundError:
        raise UserError(f"no file {path}", f"a file that ends in {', '.join(READERS)}", "file") from None
    except (OSError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())[:120]
        raise UserError(f"{path}, which cannot be read ({said})", f"{path.suffix[1:]} with columns", "file") from None
    if "response" not in frame.columns or frame.empty:
        there = ", ".join(map(str, frame.columns)) or "none"
        raise UserError(f"{path} with {len(frame)} rows and the columns {there}", "rows with a `response`", "file")
    empty = [""] * len(frame)
    return Pairs(
        prompts=_texts(path, "prompt", list(frame["prompt"]) if "prompt" in frame.columns else empty),
        responses=_texts(path, "response", list(frame["response"])),
        targets=_targets(path, list(frame["targets"])) if "targets" in frame.columns else [()] * len(frame),
    )


def _texts(path: Path, column: str, values: list[Any]) -> list[str]:
    for number, value in enumerate(values, start=1):
        if not isinstance(value, str):
            raise UserError(f"{path}, row {number}: {column} is {value!r}", "a text", "file")
    return values


def _targets(path: Path, values: list[Any]) -> list[tuple[str, ...]]:
    read = [_listed(value) if path.suffix == ".csv" else value for value in values]
    listed = [[value] if isinstance(value, str) else value for value in read]
    for number, value in enumerate(listed, start=1):
        if not isinstance(value, (list, tuple, np.ndarray)) or not all(isinstance(text, str) for text in value):
            raise UserError(f"{path}, row {number}: targets are {value!r}", "a text or a list of texts", "file")
    return [tuple(value) for value in listed]


def _listed(value: str) -> Any:
    """Read a cell that is written as a JSON list; any other cell is one text."""
    if not value.startswith("["):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def write_scores(path: Path, scores: Float[np.ndarray, " n"]) -> None:
    """Write row numbers, from 1 on, and scores.

    Raises:
        UserError: The file cannot be written.
    """
    frame = pd.DataFrame({"row": np.arange(1, len(scores) + 1), "score": scores})
    try:
        frame.to_csv(path, index=False)
    except OSError as error:
        raise unwritable(path, error, "out", "a file in a folder that is there") from error
