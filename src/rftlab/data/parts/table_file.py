"""Read a file of the user's own: CSV, JSON lines or parquet."""

import csv
import json
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from rftlab.errors import UserError

FORMATS = (".csv", ".jsonl", ".parquet")
READ_ERRORS = (OSError, ValueError, csv.Error, pyarrow.ArrowException)  # those of JSON and of UTF-8 are ValueErrors


def read_file(path: Path, key: str) -> tuple[Sequence[Mapping[str, Any]], list[str]]:
    """Read all rows of a file, and the names of its columns. Texts keep their characters; a CSV holds texts alone.

    `key` is the one that names the file.

    Raises:
        UserError: The file is missing, is of another format, cannot be read or has no row.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"{key}={path}", f"a file that ends with {', '.join(FORMATS)}", key)
    if not path.is_file():
        raise UserError(f"no file {path}", f"a file that ends with {', '.join(FORMATS)}", key)
    try:
        rows, columns = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[path.suffix](path)
    except READ_ERRORS as error:
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        expected = f"rows in the format that {path.suffix} says, in UTF-8"
        raise UserError(f"{path} cannot be read ({said})", expected, f"{key}, or repair the file") from error
    if not rows:
        raise UserError(f"{path} has no row", "at least one", key)
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
