"""Does a run fit into the memory that there is? It is refused before anything is loaded, with the numbers."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.build.memory import asked_of, estimate_of
from rftlab.errors import UserError
from rftlab.machine import MIB, available_bytes
from rftlab.memory.estimate import GIB, Estimate, gib
from rftlab.runs.records import load_config

log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class Room:
    """How much memory a run may take, in bytes."""

    size: int
    where: str  # behind "GiB": free on the GPU


def told_room(config: Mapping[str, Any]) -> Room | None:
    """Return the memory that the config tells, if it does."""
    told = config["runtime"].get("memory_gib")  # a stored config may be older than the key
    return None if told is None else Room(size=int(told * GIB), where="by runtime.memory_gib")


def machine_room() -> Room | None:
    """Return what is free of this machine's memory; None where the system does not say."""
    size = available_bytes()
    return None if size is None else Room(size=size, where="free on this machine")


def room_of(config: Mapping[str, Any], gpu_bytes: int | None) -> Room | None:
    """Return what a run may take: what its config tells, else what is free of its GPU, or of this machine."""
    if (told := told_room(config)) is not None:
        return told
    return machine_room() if gpu_bytes is None else Room(size=gpu_bytes, where="free on the GPU")


def require_room(
    config: Mapping[str, Any], named: Mapping[str, Path], gpu_bytes: int | None
) -> dict[str, float] | None:
    """Refuse a run that does not fit where it is about to start; returns what is estimated, for its record.

    Args:
        config: That of the run.
        named: The folders of the finished runs that it names.
        gpu_bytes: What is free of its GPU; None where it computes on none.

    Raises:
        UserError: It takes more than there is.
    """
    others = {folder.name[-runs.KEY_LENGTH :]: load_config(folder / "config.yaml") for folder in named.values()}
    estimate = estimate_of(config, asked_of(config), others, gpu=gpu_bytes is not None)
    if estimate is None or not estimate.components:
        return None
    room = room_of(config, gpu_bytes)
    refuse_beyond(config, estimate, room)
    if room is not None and estimate.longest > room.size:
        log.warning("memory: %s", warning(estimate, room))
    return {"least_mib": round(estimate.least / MIB), "longest_mib": round(estimate.longest / MIB)}


def warning(estimate: Estimate, room: Room) -> str:
    """Say that a run may take more than there is."""
    short, long, there = gib(estimate.least), gib(estimate.longest), gib(room.size)
    return f"{short} GiB at least, up to {long} with the longest rows, with {there} GiB {room.where}"


def refuse_beyond(config: Mapping[str, Any], estimate: Estimate, room: Room | None) -> None:
    """Refuse a run that takes more than there is; `runtime.memory_check` says how it is counted.

    Raises:
        UserError: The numbers, and the keys that change them.
    """
    check = config["runtime"].get("memory_check", "least")  # a stored config may be older than the key
    size = estimate.longest if check == "longest" else estimate.least
    if check == "off" or room is None or size <= room.size:
        return
    rows = check == "longest"
    kind = "with rows as long as the config allows" if rows else "at least"
    takes = f"{gib(size)} GiB of memory {kind} ({estimate.told(longest=rows)})"
    who = f"algo={config['algo']['name']} with model={config['model']['name']}"
    found = f"{who}, which takes {takes}, with {gib(room.size)} GiB {room.where}"
    raise UserError(found, "a run that fits", ", ".join(_ways_out(config, rows=rows)))


IN_PLACE = "with model.unfrozen_blocks=null"  # an adapter and blocks that train exclude each other


def _ways_out(config: Mapping[str, Any], *, rows: bool) -> list[str]:
    """Name the keys with which a run takes less, then those with which it starts all the same."""
    model, runtime = config["model"], config["runtime"]
    keys = []
    if (model.get("lora") or {}).get("rank") is None:
        whole = model["unfrozen_blocks"] is None
        keys += ["model.lora.rank", "model.unfrozen_blocks"] if whole else [f"model.lora.rank ({IN_PLACE})"]
    keys += ["model.value.kind"] if model["value"]["kind"] == "separate" else []
    keys += ["model"]
    if rows:
        keys += ["algo.loop.microbatch_size", "eval.batch_size", "runtime.head_chunk"]
        keys += [] if runtime.get("gradient_checkpointing") else ["runtime.gradient_checkpointing"]
    return [*keys, "runtime.memory_gib (another machine) or runtime.memory_check"]
