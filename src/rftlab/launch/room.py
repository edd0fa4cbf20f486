"""Which memory jobs would have, and whether they fit, looked up before the first of them starts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from rftlab import runs
from rftlab.build.memory import EVERYTHING, Asked, Others, asked_of, estimate_of
from rftlab.build.room import Room, refuse_beyond, room_of, told_room
from rftlab.light import importing
from rftlab.machine import gpu_bytes
from rftlab.memory.estimate import GIB, Estimate
from rftlab.runs.identity import canonical_json
from rftlab.runs.parents import needed_runs
from rftlab.sweeps.job import Job
from rftlab.sweeps.local import visible_gpus
from rftlab.sweeps.memory_table import Need, Needed

LITTLE = GIB  # below it, a dry run says so in a line for all jobs


class Launcher(Protocol):
    """What is asked of a launcher."""

    gpus: int  # of a job that does not ask for a number itself

    def settings(self) -> Mapping[str, Any]:
        """Return plain data, whose `kind` says where jobs run."""
        ...


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a job would compute."""

    gpu: bool
    room: Room | None  # None = not known here


def here(config: Mapping[str, Any]) -> Place:
    """Say what a job of this machine would have."""
    gpus = [] if config["runtime"]["device"] == "cpu" else visible_gpus()
    if not gpus:
        return Place(gpu=False, room=room_of(config, None))
    size = gpu_bytes(gpus)
    return Place(gpu=True, room=told_room(config) if size is None else room_of(config, size))


def place_of(config: Mapping[str, Any], launcher: Launcher) -> Place:
    """Say what a job of a launcher would have; of a GPU of a cluster nobody knows but the config."""
    settings = launcher.settings()
    if settings.get("kind") != "slurm":
        return here(config)
    asked = {name: value for name, value in (config.get("resources") or {}).items() if value is not None}
    if config["runtime"]["device"] != "cpu" and asked.get("gpus_per_node", launcher.gpus):
        return Place(gpu=True, room=told_room(config))
    size = asked.get("mem_gb", settings.get("mem_gb"))
    room = None if size is None else Room(size=int(size * GIB), where="by mem_gb of the job")
    return Place(gpu=False, room=told_room(config) or room)


def needs_of(jobs: Sequence[Job], launcher: Launcher) -> Needed:
    """Estimate what jobs take, those that take the same together.

    torch is imported only where one takes more than `LITTLE` if its algorithm asks for all that there is.
    """
    others, places, little = configs_of(jobs), {}, 0
    found: dict[tuple[Any, ...], tuple[Estimate, list[Job]]] = {}
    for job in jobs:
        place = _once(places, job.config, launcher)
        most = estimate_of(job.config, EVERYTHING, others, gpu=place.gpu)
        if most is None or (most.components and most.longest < LITTLE):
            little += 1
            continue
        estimate = _estimate(job.config, others, place)
        assert estimate is not None
        parts = tuple((part.name, part.size) for part in estimate.components)
        which = tuple(job.config[group]["name"] for group in ("data", "model"))
        found.setdefault((which, parts, tuple(estimate.unknown), place.room), (estimate, []))[1].append(job)
    kinds = [
        Need(what=_what(same), jobs=len(same), estimate=estimate, room=None if room is None else room.size)
        for (_, _, _, room), (estimate, same) in found.items()
    ]
    return Needed(kinds=kinds, little=little, below=LITTLE)


def _what(jobs: Sequence[Job]) -> str:
    """Name jobs that take the same: their algorithms, their data, their model."""
    algorithms = dict.fromkeys(job.config["algo"]["name"] for job in jobs)
    return f"{','.join(algorithms)} {jobs[0].config['data']['name']} {jobs[0].config['model']['name']}"


def require_room_for(jobs: Sequence[Job], launcher: Launcher | None = None) -> None:
    """Refuse jobs that do not fit where they would run; what nobody knows here passes.

    torch is imported only where a job would not fit if its algorithm asked for all that there is.

    Raises:
        UserError: One takes more than there is.
    """
    others = configs_of(jobs)
    places: dict[tuple[Any, ...], Place] = {}
    for job in jobs:
        place = _once(places, job.config, launcher)
        if place.room is None:
            continue
        most = estimate_of(job.config, EVERYTHING, others, gpu=place.gpu)
        if most is None or most.longest <= place.room.size:
            continue
        estimate = _estimate(job.config, others, place)
        if estimate is not None:
            refuse_beyond(job.config, estimate, place.room)


def configs_of(jobs: Sequence[Job]) -> Others:
    """Return the configs of jobs, of the runs before them and of finished runs that they name, by key."""
    found: dict[str, Mapping[str, Any]] = {}
    for job in jobs:
        if job.key not in found:
            found[job.key] = job.config
            found |= configs_of(job.parents)
    for job in jobs:
        for key in needed_runs(job.config).values():
            if key not in found and (made := runs.find_key(Path(job.config["paths"]["outputs"]), key)):
                found[key] = made[0].config
    return found


def _once(places: dict[tuple[Any, ...], Place], config: Mapping[str, Any], launcher: Launcher | None) -> Place:
    """Look at the machine once for all jobs that ask for the same."""
    runtime, asked = config["runtime"], config.get("resources") or {}
    key = (runtime["device"], runtime.get("memory_gib"), asked.get("gpus_per_node"), asked.get("mem_gb"))
    if key not in places:
        places[key] = here(config) if launcher is None else place_of(config, launcher)
    return places[key]


def _estimate(config: Mapping[str, Any], others: Others, place: Place) -> Estimate | None:
    return estimate_of(config, _asked(canonical_json(config["algo"].get("loss"))), others, gpu=place.gpu)


@cache  # the jobs of a grid have the same few
def _asked(loss: str) -> Asked:
    with importing():
        return asked_of({"algo": {"loss": json.loads(loss)}})
