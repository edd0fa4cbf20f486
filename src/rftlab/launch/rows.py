"""Before a run counts as done: does the data still say what the run has seen?"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.runs.identity import canonical_json

log = logging.getLogger("rftlab")


def check_rows(made: Iterable[tuple[Mapping[str, Any], Path]]) -> None:
    """Compare configs with the run folders that answer them: a folder of other rows is no answer.

    Files and code are compared first. Where they have changed, the rows are read, once for all runs that read the same.

    Raises:
        UserError: A run folder was made with other rows, or rows cannot be read.
    """
    stamps: dict[str, dict[str, Any] | None] = {}
    read: dict[str, dict[str, str]] = {}
    for config, folder in made:
        if (record := runs.read_rows(folder)) is None:
            continue
        which = canonical_json(
            [config["data"].get(name) for name in ("source", "loader")] + [config["paths"]["hub_mirror"]]
        )
        if which not in stamps:
            stamps[which] = runs.stamp(config)
        if stamps[which] is None or stamps[which] == record["stamp"]:
            continue
        if which not in read:
            log.info("what the rows of data=%s come from has changed: reading them again", config["data"]["name"])
            from rftlab.build.labs import rows_of  # torch and transformers load here

            read[which] = rows_of(config)
        runs.refuse_other_rows(folder, record["rows"], read[which])
