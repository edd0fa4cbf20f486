"""The two launchers, made from plain settings: for Hydra's plugins, and for a retry without Hydra."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from rftlab.entry.clusters import ask_queue, require_slurm
from rftlab.entry.worker import work_in_slot
from rftlab.errors import UserError
from rftlab.sweeps.job import Job
from rftlab.sweeps.local import Slots, make_slots, run_jobs, start_server, visible_gpus
from rftlab.sweeps.slurm import run_on_slurm
from rftlab.sweeps.slurm_settings import SlurmSettings
from rftlab.sweeps.snapshot import take_snapshot

WARM = "rftlab.entry.warm"


def machine_slots(slots: int | None, threads: int | None, device: str) -> Slots:
    """Divide this machine among jobs.

    Raises:
        UserError: More slots than the machine has room for.
    """
    gpus = [] if device == "cpu" else visible_gpus()
    return make_slots(slots, threads, len(os.sched_getaffinity(0)), gpus)


def run_locally(jobs: Sequence[Job], slots: Slots, console: Console) -> Mapping[str, str]:
    """Run jobs on this machine; returns the state of each by key."""
    return run_jobs(jobs, work_in_slot, slots, console)


def run_remotely(
    jobs: Sequence[Job],
    queued: Mapping[str, str],
    sweep_folder: Path,
    values: Mapping[str, Any],
    snapshot: bool,
    console: Console,
) -> Mapping[str, str]:
    """Run jobs on the cluster that this machine belongs to; returns the state of each by key.

    `queued` (key -> task id) says what is there already: it is followed, and jobs may depend on it.

    Raises:
        UserError: SLURM refuses them.
    """
    source = take_snapshot(sweep_folder.parent) if snapshot else None
    return run_on_slurm(jobs, queued, sweep_folder, SlurmSettings.from_dict(values), source, console, ask_queue)


def run(jobs: Sequence[Job], sweep_folder: Path, settings: Mapping[str, Any], console: Console) -> Mapping[str, str]:
    """Run jobs with the launcher that `settings` (of `launch.json`) describe.

    Raises:
        UserError: The settings are missing or do not fit this machine.
    """
    values = {name: value for name, value in settings.items() if name not in ("kind", "snapshot")}
    match settings.get("kind"):
        case "local":
            runtime = jobs[0].config["runtime"]
            slots = machine_slots(values["slots"], None, runtime["device"])
            start_server(WARM)
            return run_locally(jobs, slots, console)
        case "slurm":
            require_slurm()
            return run_remotely(jobs, {}, sweep_folder, values, settings["snapshot"], console)
    found = f"no launch.json in {sweep_folder}"
    raise UserError(found, "a sweep that was launched with -m", "nothing; run the command of the sweep again")
