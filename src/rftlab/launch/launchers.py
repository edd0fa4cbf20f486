"""The two launchers, made from plain settings: for Hydra's plugins, and for a retry without Hydra."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from rftlab.errors import UserError
from rftlab.launch.clusters import ask_queue, require_slurm
from rftlab.launch.early import WARM
from rftlab.launch.needs import require_hub
from rftlab.launch.worker import work_in_slot
from rftlab.machine import usable_cpus
from rftlab.sweeps.fork_server import start_server
from rftlab.sweeps.job import Job
from rftlab.sweeps.local import Slots, make_slots, run_jobs, visible_gpus
from rftlab.sweeps.slurm.queue import run_on_slurm
from rftlab.sweeps.slurm.settings import SlurmSettings
from rftlab.sweeps.snapshot import take_snapshot
from rftlab.tracking.mirror import Mirror, destination_of, mirroring


def machine_slots(slots: int | None, threads: int | None, device: str) -> Slots:
    """Divide this machine among jobs.

    Raises:
        UserError: More slots than the machine has room for.
    """
    gpus = [] if device == "cpu" else visible_gpus()
    return make_slots(slots, threads, usable_cpus(), gpus)


@dataclass(frozen=True)
class _JobMirror:
    """Tell a mirror of jobs, as the pool tells of them."""

    mirror: Mirror

    def begin(self, job: Job) -> None:
        self.mirror.begin(job.folder, destination_of(job.config))

    def end(self, job: Job) -> None:
        self.mirror.end(job.folder)


def run_locally(jobs: Sequence[Job], slots: Slots, console: Console) -> Mapping[str, str]:
    """Run jobs on this machine, and send them to the tracking server; returns the state of each by key.

    Raises:
        UserError: A job needs the hub, which is out of reach; or the first job cannot be started.
    """
    require_hub(job.config for job in jobs)
    with mirroring(jobs[0].config, ahead=True) as mirror:
        return run_jobs(jobs, work_in_slot, slots, console, _JobMirror(mirror))


def start_workers(outputs: Path, snapshot: bool) -> None:
    """Start what `run_locally` forks jobs from, unless an early start was right about the code that they run.

    Raises:
        UserError: There is no room for the snapshot, or for temporary files.
    """
    start_server(WARM, take_snapshot(outputs) if snapshot else None)


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
    settings = SlurmSettings.from_dict(values)
    with mirroring(jobs[0].config, ahead=True):  # the jobs send themselves, to a place that is prepared here
        return run_on_slurm(jobs, queued, sweep_folder, settings, source, console, ask_queue)


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
            start_workers(sweep_folder.parent, settings.get("snapshot", True))
            return run_locally(jobs, slots, console)
        case "slurm":
            require_slurm()
            return run_remotely(jobs, {}, sweep_folder, values, settings["snapshot"], console)
    found = f"no launch.json in {sweep_folder}"
    raise UserError(found, "a sweep that was launched with -m", "nothing; run the command of the sweep again")
