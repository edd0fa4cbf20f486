"""Start importing the libraries before Hydra has parsed the command line, if it looks like a local sweep."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rftlab.errors import UserError
from rftlab.sweeps.fork_server import start_server
from rftlab.sweeps.snapshot import take_snapshot

WARM = "rftlab.launch.warm"
OUTPUTS = "outputs"  # as in conf/paths/default.yaml
PLAIN = re.compile(r"[\w./+@:-]+")  # a path without quotes, interpolations or several values
MULTIRUN = {"-m", "--multirun"}
NOTHING_RUNS = ("-c", "--cfg", "-i", "--info", "-h", "--h", "-sc", "--shell", "--version", "sweep.dry_run=true")
AGAINST = (*NOTHING_RUNS, "hydra/launcher=", "sweep.dry_run=", "sweep.snapshot=", "paths=", "--config-")


def warm_up(arguments: Sequence[str]) -> None:
    """Start the process that imports the libraries, if a sweep of this machine is likely.

    It imports a copy of the code, taken where the outputs of the sweep will be. A launcher that does not need it, or
    wants another copy, stops it; otherwise it ends with this process.
    """
    if (outputs := likely_outputs(arguments)) is not None:
        with suppress(UserError, ImportError):  # the launcher, or the command itself, says so
            start_server(WARM, take_snapshot(outputs))


def likely_outputs(arguments: Sequence[str]) -> Path | None:
    """Return where a sweep of this machine will put its outputs, or None where a command line looks like another."""
    if not MULTIRUN & set(arguments) or any(word.startswith(AGAINST) for word in arguments):
        return None
    given = [word.partition("=")[2] for word in arguments if word.lstrip("+").startswith("paths.outputs=")]
    outputs = given[-1] if given else OUTPUTS
    return Path(outputs) if PLAIN.fullmatch(outputs) else None
