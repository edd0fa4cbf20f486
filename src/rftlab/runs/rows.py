"""Which rows a run has seen: a fingerprint beside its config, and what tells without reading that they are the same."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rftlab.errors import UserError
from rftlab.files import read_json, write_atomic

ROWS = "rows.json"  # of a run folder
DATA = Path(__file__).resolve().parents[1] / "data"  # the code that reads and generates rows


def note_rows(folder: Path, config: Mapping[str, Any], rows: Mapping[str, str]) -> None:
    """Keep the fingerprint of each split in a run folder, or compare it with the one that is there.

    Raises:
        UserError: an earlier attempt at the run saw other rows, or the folder cannot be written.
    """
    if (before := read_rows(folder)) is not None:
        refuse_other_rows(folder, before["rows"], rows)
    now = {"rows": dict(rows), "stamp": stamp(config)}
    if now != before:
        write_atomic(folder / ROWS, json.dumps(now, indent=1) + "\n")


def read_rows(folder: Path) -> dict[str, Any] | None:
    """Return `rows`, the fingerprint of each split, and `stamp`, what they came from.

    None where the run has read none yet, or was made before this was kept.
    """
    return read_json(folder / ROWS)


def refuse_other_rows(folder: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Compare the fingerprints of splits.

    Raises:
        UserError: They differ.
    """
    different = [split for split in {**before, **now} if before.get(split) != now.get(split)]
    if different:
        raise UserError(
            f"{folder} was made with other rows under the same key (different: {', '.join(different)})",
            "the rows that it was made with",
            "paths.hub_mirror back to them, or paths.outputs, or data.loader.hub_id to a name of their own",
        )


def stamp(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Describe where rows come from, so that two equal stamps mean equal rows; None where that cannot be said.

    Of a mirror these are names, sizes and times of the files of the dataset; of generated rows, and of those that a
    loader of the user's own makes, the code that makes them.
    """
    data = config["data"]
    if "loader" not in data:
        return None
    if data["source"] != "hub" or "hub_id" not in data["loader"]:
        return {"code": _code()}
    if (mirror := config["paths"]["hub_mirror"]) is None:
        return None
    folder = Path(mirror).resolve() / data["loader"]["hub_id"]
    return {"folder": str(folder), "files": _files(folder)}


def _files(folder: Path) -> dict[str, list[int]]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    stats = {str(path.relative_to(folder)): path.stat() for path in found}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


@cache
def _code() -> str:
    text = hashlib.sha256()
    for path in sorted(DATA.rglob("*.py")):
        text.update(f"{path.relative_to(DATA)}\n".encode() + path.read_bytes())
    return text.hexdigest()[:16]
