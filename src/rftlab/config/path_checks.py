"""What the paths and the source of the rows must satisfy."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab.config.options import kind_of_data
from rftlab.errors import UserError
from rftlab.tracking.store import absolute_uri, sqlite_path

HUB_ID = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?(?<![.-])")
DATABASE = "mlflow.db"  # in paths.outputs, unless tracking.uri says otherwise
NAMES = ("paths.outputs", "paths.figures", "paths.hub_mirror", "model.policy.source", "data.loader.hub_id", "data.path")


def check_paths(config: Mapping[str, Any]) -> None:
    """Refuse empty paths, a sweep on the database, and rows that the hub or its mirror cannot have.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    check_names(config)
    _check_database(config)
    data, mirror = config["data"], config["paths"]["hub_mirror"]
    hub_id = _hub_id(data) if data["source"] == "hub" else None
    if mirror is None:
        return
    check_mirror(mirror)
    if hub_id is not None and not (folder := Path(mirror) / hub_id).is_dir():
        change = "paths.hub_mirror or data.loader.hub_id"
        raise UserError(f"no folder {folder}", "the dataset in the mirror, laid out as <org>/<name>", change)


def check_names(config: Mapping[str, Any], names: Sequence[str] = NAMES) -> None:
    """Refuse paths that are empty or begin with a tilde.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    for key in names:
        value = _at(config, key)
        if value == "":
            raise UserError(f"{key} is empty", "a path or a name", key)
        if isinstance(value, str) and value.startswith("~"):  # some libraries would read it as a home, others not
            raise UserError(f"{key}={value}", f"a path that is written out: $HOME{value[1:]}", key)


def check_mirror(mirror: str | None) -> None:
    """Refuse a mirror of the hub that is no folder.

    Raises:
        UserError: It is none.
    """
    if mirror is not None and not Path(mirror).is_dir():
        raise UserError(f"no folder {mirror}", "a folder laid out as <org>/<name>", "paths.hub_mirror")


def _at(node: Any, key: str) -> Any:
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _check_database(config: Mapping[str, Any]) -> None:
    uri = config["tracking"]["uri"]
    database = None if uri is None else sqlite_path(absolute_uri(uri))
    sweep = Path(config["paths"]["outputs"]).absolute() / config["sweep"]["name"]
    for file in (sweep.parent / DATABASE, database):
        if (
            file is not None
            and sweep.parent == file.parent
            and re.match(rf"{re.escape(file.name)}($|[.-])", sweep.name)
        ):
            raise UserError(f"sweep.name={sweep.name}, the database of the tracking", "another name", "sweep.name")


def _hub_id(data: Mapping[str, Any]) -> str:
    """Return the name of the dataset on the hub; one that is computed, or made of bundled files, has none there."""
    hub_id = data.get("loader", {}).get("hub_id")
    if hub_id is None and "hub_id" in data.get("loader", {}):
        found = f"data.loader.hub_id=null with data={data['name']}"
        raise UserError(found, "the name of a dataset of the hub", "data.loader.hub_id")
    if hub_id is None:
        made = "which is computed" if kind_of_data(data) == "cases" else "which has no rows of the hub"
        raise UserError(f"data.source=hub with data={data['name']}, {made}", "bundled", "data.source or data")
    if not HUB_ID.fullmatch(hub_id):
        expected = "the name of a dataset of the hub, ORG/NAME or NAME; a folder of such goes to paths.hub_mirror"
        raise UserError(f"data.loader.hub_id={hub_id}", expected, "data.loader.hub_id")
    return hub_id
