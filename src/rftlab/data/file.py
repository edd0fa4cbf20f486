"""A file of the user's own: CSV, JSON lines or parquet with prompts, gold texts, scored responses or pairs."""

import csv
import json
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow
import pyarrow.parquet

from rftlab.data.parts.columns import Columns, Names, OwnRows, Shares, by_split, deal, splits_of
from rftlab.data.parts.pairs import Drop
from rftlab.errors import UserError
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Splits

FORMATS = (".csv", ".jsonl", ".parquet")
READ_ERRORS = (OSError, ValueError, csv.Error, pyarrow.ArrowException)  # those of JSON and of UTF-8 are ValueErrors


def load(
    *,
    source: Given[Literal["file"]],
    hub_mirror: Given[Path | None],
    path: str | None,
    prompt_column: str | None,
    target_column: str | None,
    response_column: str | None,
    score_column: str | None,
    chosen_column: str | None,
    rejected_column: str | None,
    split_column: str | None,
    names: Names,
    shares: Shares,
    drop_empty: bool,
    drop_pairs: Drop,
    n_train: Positive[int] | None,
    n_validation: Positive[int] | None,
    n_test: Positive[int] | None,
    seed: NonNegative[int],
) -> Splits:
    """Load the splits that a column names, and deal prompts to the others; the limits keep a random subset of prompts.

    Raises:
        UserError: The file cannot be read, lacks a column, holds a value of another kind or an empty target, or a split
            has no row.
    """
    if path is None or prompt_column is None:
        key = "data.path" if path is None else "data.prompt.column"
        raise UserError(f"{key}=null", "a file, and the column of its prompts", key)
    columns = Columns(
        prompt=prompt_column,
        target=target_column,
        response=response_column,
        score=score_column,
        chosen=chosen_column,
        rejected=rejected_column,
        split=split_column,
    )
    rows, has = read_file(Path(path))
    own = OwnRows(rows=rows, columns=columns, place=path)
    own.require(has)
    read = own.read(drop_empty)
    if split_column is None:
        dealt = deal(read, shares, ("validation", "test"))
    else:
        dealt = by_split(read, names, split_column, path)
        dealt |= deal(dealt["train"], shares, names.lacking())
    limits = {"train": n_train, "validation": n_validation, "test": n_test}
    return splits_of(dealt, limits, drop_pairs, seed, source, path)


def read_file(path: Path) -> tuple[Sequence[Mapping[str, Any]], list[str]]:
    """Read all rows of a file, and the names of its columns. Texts keep their characters; a CSV holds texts alone.

    Raises:
        UserError: The file is missing, is of another format, cannot be read or has no row.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"data.path={path}", f"a file that ends with {', '.join(FORMATS)}", "data.path")
    if not path.is_file():
        raise UserError(f"no file {path}", "a file", "data.path")
    try:
        rows, columns = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[path.suffix](path)
    except READ_ERRORS as error:
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        expected = f"rows in the format that {path.suffix} says, in UTF-8"
        raise UserError(f"{path} cannot be read ({said})", expected, "data.path, or repair the file") from error
    if not rows:
        raise UserError(f"{path} has no row", "at least one", "data.path")
    return rows, columns


def _csv(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as file, _fields_of_any_length():
        lines = csv.reader(file, strict=True)
        names = next(lines, [])
        rows = []
        for line in lines:
            if len(line) not in (0, len(names)):
                raise ValueError(f"line {lines.line_num}: {len(line)} fields, where the first line has {len(names)}")
            if line:
                rows.append(dict(zip(names, line, strict=True)))
    if len(set(names)) < len(names):
        raise ValueError("the first line has a name twice")
    return rows, names


@contextmanager
def _fields_of_any_length() -> Generator[None]:
    """Let a text of a CSV be longer than the 128 KiB that Python allows unless told otherwise."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _jsonl(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: {error.msg}") from error
        if not isinstance(row, dict):
            raise ValueError(f"line {number}: {line.strip()[:40]}, which is no object")
        rows.append(row)
    return rows, list(dict.fromkeys(name for row in rows for name in row))


def _parquet(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    table = pyarrow.parquet.read_table(path)
    return table.to_pylist(), table.column_names
