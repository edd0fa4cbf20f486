"""What the command line asks of a cluster: is there one, what does it have of ours, will its database survive."""

import logging
from collections.abc import Mapping
from pathlib import Path

from rftlab.errors import UserError
from rftlab.files import shared_file_system
from rftlab.sweeps.slurm import scheduler
from rftlab.sweeps.slurm.ledger import PREFIX, ledgers, reconciled
from rftlab.tracking.store import absolute_uri, sqlite_path

log = logging.getLogger("rftlab")


def require_slurm() -> None:
    """Refuse a machine without SLURM's client, or one whose cluster does not answer.

    Raises:
        UserError: There is no `sbatch`, or no controller.
    """
    if not scheduler.available():
        raise UserError("no sbatch on this machine", "a login node of a SLURM cluster", "hydra/launcher=local")
    if (why := scheduler.silence()) is not None:
        expected = "the login node of a cluster that is up (`scontrol ping`)"
        raise UserError(
            f"no cluster that answers: {why}", expected, "hydra/launcher=local, or nothing: try again later"
        )


def warn_about_database(uri: str | None) -> None:
    """Warn where runs of several nodes would write one SQLite file over a network."""
    path = None if uri is None else sqlite_path(absolute_uri(uri))
    if path is not None and (kind := shared_file_system(path)) is not None:
        warning = UserError(
            f"tracking.uri is an SQLite file on a shared file system ({kind}), which several nodes can damage",
            "a server (make tracking-server) or tracking=none and `python src/sweep.py sync` later",
            "tracking.uri",
        )
        log.warning("%s", warning)


def ask_queue() -> Mapping[str, scheduler.Queued] | None:
    """Return our jobs in the queue, or None where SLURM does not answer."""
    return scheduler.queue(PREFIX)


def queued(outputs: Path) -> dict[str, str]:
    """Return key -> task id of what earlier submissions still have in the queue.

    Raises:
        UserError: SLURM does not answer, so that nobody can say what would be submitted twice.
    """
    found: dict[str, str] = {}
    for ledger in ledgers(outputs):
        if ledger.open:
            with ledger.turn():
                found |= reconciled(ledger, ask_queue())
    return found
