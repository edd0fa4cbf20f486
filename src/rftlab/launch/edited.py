"""Before runs are tried again: do the user's own files still say what the keys of the runs stand for?"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rftlab.config.sources import edited_files, first
from rftlab.errors import UserError
from rftlab.place import program
from rftlab.runs.records import load_config
from rftlab.sweeps.job import Job


def refuse_other_runs(jobs: Sequence[Job], sweep_folder: Path) -> None:
    """Refuse jobs whose own files were edited, as they would be other runs under the same keys.

    Raises:
        UserError: The keys, the files and the command that makes the runs which they are now.
    """
    folders: dict[str, str] = {}
    edited = {job.key: names for job in jobs if (names := edited_files(job.config, folders))}
    if edited:
        names = sorted({name for several in edited.values() for name in several})
        raise UserError(
            f"{first(names)}, edited or moved since {len(edited)} of {len(jobs)} runs to retry in {sweep_folder} "
            f"({first(list(edited))}) got their keys",
            "the content that the keys stand for, as with this one they are other runs",
            f"the files back, or make those by the sweep's own command: {_command(sweep_folder)}",
        )


def _command(sweep_folder: Path) -> str:
    """Give the command of the last launch of a sweep, as its notes have it."""
    path = sweep_folder / "multirun.yaml"
    if not path.exists():
        return f"{program('train')} ..."  # single runs, each by its own
    said = load_config(path)["hydra"]["overrides"]
    words = [word for word in said["hydra"] if not word.startswith("hydra.mode=")] + said["task"]
    return f"{program('train')} {shlex.join(['-m', *words])}"
