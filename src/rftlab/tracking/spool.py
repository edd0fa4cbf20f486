"""What a tracking server still misses of a run folder. The metrics file is the queue, this its read position."""

import json
import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

from rftlab.files import parse_line, read_json, write_atomic
from rftlab.runs.identity import flatten

STATE_FILE = "tracking.json"
MAX_METRICS = 1000  # of one request, a limit of the server
MAX_PARAM_CHARS = 6000  # longer values are cut and end in "..."; config.yaml has them whole
MAX_SAMPLES_BYTES = 2_000_000  # of samples.jsonl the newest part is sent


@dataclass(frozen=True, kw_only=True)
class Point:
    """One number on its way to the server."""

    name: str
    value: float
    time_ms: int
    step: int


@dataclass(kw_only=True)
class Position:
    """How far one store has been sent one run."""

    uid: str = field(default_factory=lambda: uuid4().hex)  # finds a run that was created but not yet noted
    run_id: str | None = None
    offset: int = 0  # bytes of metrics.jsonl
    attempt: int = 0  # the last attempt whose tags were sent
    status: str | None = None
    model: str | None = None  # id of the logged model, empty where none was to be logged
    files: dict[str, list[int]] = field(default_factory=dict)  # name -> size and modification time that were sent


def load_position(folder: Path, store: str) -> Position:
    """Return the position noted in the run folder, a fresh one where there is none."""
    noted = (read_json(folder / STATE_FILE) or {}).get(store)
    return Position(**noted) if isinstance(noted, dict) else Position()


def save_position(folder: Path, store: str, position: Position) -> None:
    """Note the position of one store; those of others stay."""
    noted = read_json(folder / STATE_FILE) or {}
    noted[store] = asdict(position)
    write_atomic(folder / STATE_FILE, json.dumps(noted, indent=1) + "\n", durable=False)


def unsent(path: Path, offset: int) -> Iterator[tuple[list[Point], int]]:
    """Yield (points, offset behind their lines) from the whole lines after `offset`, `MAX_METRICS` points or more."""
    if not path.exists():
        return
    if offset > path.stat().st_size:  # the file was replaced by a shorter one
        offset = 0
    points: list[Point] = []
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                break  # still being written, or torn
            offset += len(line)
            points.extend(_points(line))
            if len(points) >= MAX_METRICS:
                yield points, offset
                points = []
    yield points, offset


def _points(line: bytes) -> list[Point]:
    row = parse_line(line)
    if row is None:
        return []
    time_ms = round(row["time"] * 1000)
    return [
        Point(name=clean_name(name), value=float(value), time_ms=time_ms, step=row["step"])
        for name, value in row["metrics"].items()
    ]


def split_infinite(points: list[Point]) -> tuple[list[Point], dict[str, str]]:
    """Separate infinite values, which the server would turn into 1.797e308; they are told as tags instead."""
    finite = [point for point in points if not math.isinf(point.value)]
    tags = {
        f"infinite.{point.name}": f"{point.value} at step {point.step}" for point in points if math.isinf(point.value)
    }
    return finite, tags


def params(config: Mapping) -> dict[str, str]:
    """Return the flattened config as the strings a server stores, without the address of the server itself."""
    flat = flatten({key: value for key, value in config.items() if key not in ("tracking", "hydra")})
    return {clean_name(name): _param_text(value) for name, value in flat.items()}


def _param_text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= MAX_PARAM_CHARS else text[: MAX_PARAM_CHARS - 3] + "..."


def clean_name(name: str) -> str:
    """Return the name with `_` for what a server refuses in names, at most 250 characters."""
    clean = posixpath.normpath(re.sub(r"[^\w\-./: ]", "_", name)).strip("/")[:250]
    return f"_{clean}" if clean.startswith(".") else clean


def newest_lines(path: Path, max_bytes: int) -> str:
    """Return the whole lines among the last `max_bytes` of a file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - max_bytes))
        content = file.read()
    if size > max_bytes:
        content = content.partition(b"\n")[2]
    return content.decode(errors="replace")
