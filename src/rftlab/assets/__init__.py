"""The embedded tiny models and their tokenizer, made by `make assets`, and where a model's name leads to."""

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


def locate(source: str, hub_mirror: Path | None) -> Path | str:
    """Turn `asset:NAME`, a folder, or a hub id into a folder; a hub id that is not in the mirror stays as it is."""
    if source.startswith(PREFIX):
        return asset_folder(source.removeprefix(PREFIX))
    if hub_mirror is not None and (hub_mirror / source).is_dir():
        return hub_mirror / source
    return Path(source) if Path(source).is_dir() else source
