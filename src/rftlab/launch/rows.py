"""Before a run counts as done: does the data still say what the run has seen?"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.errors import UserError
from rftlab.runs.identity import canonical_json

log = logging.getLogger("rftlab")


def check_rows(made: Iterable[tuple[Mapping[str, Any], Path]]) -> None:
    """Compare configs with the run folders that answer them: a folder of other rows is no answer.

    Files and code are compared first. Where they have changed, and where a loader of the user's own reads what nobody
    else knows, the rows are read, once for all runs that read the same.

    Raises:
        UserError: A run folder was made with other rows, or rows cannot be read.
    """
    stamps: dict[str, dict[str, Any] | None] = {}
    read: dict[str, dict[str, str]] = {}
    for config, folder in made:
        if (record := runs.read_rows(folder)) is None or runs.only_from_the_hub(config):
            continue
        which = canonical_json(
            [config["data"].get(name) for name in ("source", "loader")] + [config["paths"]["hub_mirror"]]
        )
        if which not in stamps:
            stamps[which] = runs.stamp(config)
        if stamps[which] is not None and stamps[which] == record["stamp"]:
            continue
        if which not in read:
            read[which] = _read_again(config)
        runs.refuse_other_rows(folder, config, record["rows"], read[which])


def _read_again(config: Mapping[str, Any]) -> dict[str, str]:
    own, name = runs.own_loader(config["data"]), config["data"]["name"]
    why = "come from a loader of your own" if own else "come from what has changed"
    log.info("the rows of data=%s %s: reading them again, to compare them with those of finished runs", name, why)
    from rftlab.build.labs import rows_of  # torch and transformers load here

    try:
        return rows_of(config)
    except Exception as error:  # code of the user's own may raise anything
        if isinstance(error, UserError) or not own:
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"rows of data={name} that cannot be read again ({said})", "what its loader reads", "data"
        ) from error
