"""The embedded tiny models and their tokenizer, made by `make assets`, and where a model's name leads to."""

import os
from pathlib import Path

from rftlab.errors import UserError

FOLDER = Path(__file__).parent
PREFIX = "asset:"


def asset_folder(name: str) -> Path:
    """Return the folder of an embedded model or tokenizer."""
    folder = FOLDER / name
    if not (folder / "config.json").is_file() and not (folder / "tokenizer.json").is_file():
        known = ", ".join(sorted(path.name for path in FOLDER.iterdir() if path.is_dir() and path.name[0] not in "_."))
        raise UserError(
            f"no embedded asset '{name}'", f"one of {known}", "the name after 'asset:', or run `make assets`"
        )
    return folder


def converted_models() -> Path:
    """Return the folder of models that were converted on this machine, laid out as ORG/NAME: `make small` fills it."""
    if said := os.environ.get("RFTLAB_MODELS"):
        return Path(said)
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "rftlab" / "models"


def converted(name: str) -> Path | None:
    """Return the folder of a hub id that was converted on this machine."""
    folder = converted_models() / name
    return folder if name and (folder / "config.json").is_file() else None


def locate(source: str | Path, hub_mirror: str | Path | None, key: str) -> Path | str:
    """Turn `asset:NAME`, a folder or a hub id into a folder; a hub id that only the hub can have stays as it is.

    A name is looked up in the mirror first, so that a folder of the same name beside the user does not shadow it, and
    last among the models that were converted on this machine.

    Raises:
        UserError: no such asset or folder; `key` is the config key that named it.
    """
    name = str(source)
    if name.startswith(PREFIX):
        return asset_folder(name.removeprefix(PREFIX))
    if hub_mirror is not None and (Path(hub_mirror) / name).is_dir():
        return Path(hub_mirror) / name
    if Path(name).is_dir():
        return Path(name)
    if Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise UserError(f"no folder {name}", "a folder with config.json, a hub id or asset:NAME", key)
    return converted(name) or name
