"""Which rows a run has seen: a fingerprint beside its config, and what tells without reading that they are the same."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rftlab.errors import UserError
from rftlab.files import files_below, read_json, write_atomic
from rftlab.runs.identity import of_ours

ROWS = "rows.json"  # of a run folder
DATA = Path(__file__).resolve().parents[1] / "data"  # the code that reads and generates rows


def note_rows(folder: Path, config: Mapping[str, Any], rows: Mapping[str, str]) -> None:
    """Keep the fingerprint of each split in a run folder, or compare it with the one that is there.

    Raises:
        UserError: an earlier attempt at the run saw other rows, or the folder cannot be written.
    """
    if (before := read_rows(folder)) is not None:
        refuse_other_rows(folder, config, before["rows"], rows)
    now = {"rows": dict(rows), "stamp": stamp(config)}
    if now != before:
        write_atomic(folder / ROWS, json.dumps(now, indent=1) + "\n")


def read_rows(folder: Path) -> dict[str, Any] | None:
    """Return `rows`, the fingerprint of each split, and `stamp`, what they came from.

    None where the run has read none yet, or was made before this was kept.
    """
    return read_json(folder / ROWS)


def refuse_other_rows(
    folder: Path, config: Mapping[str, Any], before: Mapping[str, str], now: Mapping[str, str]
) -> None:
    """Compare the fingerprints of splits; `config` says which keys and files the rows come from.

    Raises:
        UserError: They differ.
    """
    different = [split for split in {**before, **now} if before.get(split) != now.get(split)]
    if different:
        raise UserError(
            f"{folder} was made with other rows under the same key (different: {', '.join(different)})",
            "the rows that it was made with",
            _ways_out(config["data"]),
        )


def _ways_out(data: Mapping[str, Any]) -> str:
    if own_loader(data):
        return "what the loader reads back to them, or paths.outputs"
    if data["source"] == "hub":
        return "paths.hub_mirror back to them, or paths.outputs, or data.loader.hub_id to a name of their own"
    return "the code in rftlab/data back to that which made them, or paths.outputs"


def own_loader(data: Mapping[str, Any]) -> bool:
    """Say whether the loader of a dataset, or a part of it, is not ours: nobody else knows what it reads."""
    return _has_foreign(data.get("loader"))


def _has_foreign(value: Any) -> bool:
    if isinstance(value, Mapping):
        target = value.get("_target_")
        return (isinstance(target, str) and not of_ours(target)) or any(map(_has_foreign, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_has_foreign, value))


def only_from_the_hub(config: Mapping[str, Any]) -> bool:
    """Say whether rows come from the hub itself, of which nothing is asked for a finished run."""
    return config["data"].get("source") == "hub" and config["paths"]["hub_mirror"] is None


def stamp(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Describe where rows come from, so that two equal stamps mean equal rows; None where that cannot be said.

    Of a mirror these are names, sizes and times of the files of the dataset; of generated rows the code that makes
    them. What a loader of the user's own reads is not known, and what the hub has is not asked for.
    """
    data = config["data"]
    if "loader" not in data or own_loader(data) or only_from_the_hub(config):
        return None
    if data["source"] != "hub" or "hub_id" not in data["loader"]:
        return {"code": _code()}
    folder = Path(config["paths"]["hub_mirror"]).resolve() / data["loader"]["hub_id"]
    return {"folder": str(folder), "files": _files(folder)}


def _files(folder: Path) -> dict[str, list[int]]:
    stats = {str(path.relative_to(folder)): path.stat() for path in files_below(folder)}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


@cache
def _code() -> str:
    text = hashlib.sha256()
    for path in sorted(DATA.rglob("*.py")):
        text.update(f"{path.relative_to(DATA)}\n".encode() + path.read_bytes())
    return text.hexdigest()[:16]
