"""Files of prompts, responses and targets: JSON lines, CSV or Parquet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from rftlab.data.parts.table_file import read_file
from rftlab.errors import UserError, unwritable

PROMPT, RESPONSE, TARGETS = COLUMNS = ("prompt", "response", "targets")


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Rows of a file, each a prompt, a response and the gold texts of the prompt."""

    prompts: list[str]
    responses: list[str]
    targets: list[tuple[str, ...]]
    columns: list[str]  # of the file

    def between(self, start: int, end: int) -> tuple[list[str], list[str], list[tuple[str, ...]]]:
        """Return prompts, responses and targets of some rows."""
        return self.prompts[start:end], self.responses[start:end], self.targets[start:end]

    def told(self) -> list[str]:
        """Say what a reader of the scores would not expect: prompts of another name, and gold texts without a word."""
        lines = []
        if near := self.near(PROMPT):
            lines.append(f"no column `{PROMPT}`, but `{near}`: prompts are empty")
        blank = [row for row, golds in enumerate(self.targets, start=1) if golds and not any(map(str.strip, golds))]
        if blank:
            lines.append(
                f"{len(blank):,} of {len(self.targets):,} rows have gold texts without a word (first: row {blank[0]}): "
                "rewards that compare with gold texts score 0 there, those of SQuAD 1 where the response is empty too"
            )
        return lines

    def near(self, column: str) -> str | None:
        """Return the column that a missing one may be meant by; None where it is there, or none is like it."""
        others = {name.lower(): name for name in self.columns if name not in COLUMNS}
        close = [] if column in self.columns else get_close_matches(column, others, 1, 0.7)
        return others[close[0]] if close else None


def read(path: Path) -> Pairs:
    """Read a file by its ending; a column `prompt` or `targets` may be missing: prompts are then empty, targets none.

    Raises:
        UserError: The file cannot be read, lacks responses, or holds something else than texts.
    """
    rows, columns = read_file(path, "file")
    if RESPONSE not in columns:
        there = ", ".join(columns) or "none"
        raise UserError(f"{path} with {len(rows)} rows and the columns {there}", f"a column `{RESPONSE}`", "file")
    return Pairs(
        prompts=[_text(path, rows, number, PROMPT) if PROMPT in columns else "" for number in range(len(rows))],
        responses=[_text(path, rows, number, RESPONSE) for number in range(len(rows))],
        targets=[_golds(path, rows, number) if TARGETS in columns else () for number in range(len(rows))],
        columns=columns,
    )


def _text(path: Path, rows: Sequence[Mapping[str, Any]], number: int, column: str) -> str:
    if not isinstance(value := rows[number].get(column), str):
        raise UserError(f"{path}, row {number + 1}: {column} is {_shown(value)}", "a text", "file")
    return value


def _golds(path: Path, rows: Sequence[Mapping[str, Any]], number: int) -> tuple[str, ...]:
    value = rows[number].get(TARGETS)
    read = _listed(value) if path.suffix == ".csv" and isinstance(value, str) else value
    golds = [read] if isinstance(read, str) else read
    if not isinstance(golds, list) or not all(isinstance(text, str) for text in golds):
        found = f"{path}, row {number + 1}: targets are {_shown(read)}"
        raise UserError(found, "a text or a list of texts", "file")
    return tuple(golds)


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)


def _listed(cell: str) -> Any:
    """Read a cell that is written as a JSON list of texts; any other cell is one text, such as `[1]`."""
    if not cell.startswith("["):
        return cell
    try:
        found = json.loads(cell)
    except json.JSONDecodeError:
        return cell
    return found if not found or any(isinstance(item, str) for item in found) else cell


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
