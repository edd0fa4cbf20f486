"""From a plan to a trained model: claim the run folder, mirror it, build what the loop needs and run the loop."""

import logging
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from rftlab import runs
from rftlab.build import labs
from rftlab.build.held_out import tell_gold
from rftlab.build.room import require_room
from rftlab.config.make import make
from rftlab.config.sources import refuse_edited
from rftlab.errors import UserError
from rftlab.loops import checkpoint
from rftlab.loops.session import Session
from rftlab.runs import naming
from rftlab.runs.parents import needed_runs
from rftlab.stop import StopFlag
from rftlab.tracking.mirror import destination_of, mirroring

log = logging.getLogger("rftlab")


def train(config: Mapping[str, Any], folder: Path, stop: StopFlag, *, mirror: bool = True) -> dict[str, float]:
    """Train in a run folder; returns the final metrics.

    `stop` ends the run at a step boundary, with everything saved. `mirror` says whether this process sends the run to
    the tracking server; a sweep of this machine does so for all its runs.

    Raises:
        RunIsDone: Nothing is left to do.
        RunIsLive: Another process works on this run.
        StopRequested: The run was asked to stop and has saved itself.
        UserError: The run does not fit into memory; data, model or a parent cannot be had; or a file of the user's own
            is not what the key says.
    """
    disable_progress_bar()  # of transformers, which draws one for every model that it loads
    if config["runtime"]["threads"] is not None:
        torch.set_num_threads(config["runtime"]["threads"])
    device = device_of(config["runtime"]["device"])
    finished = _finished_runs(Path(config["paths"]["outputs"]), config)
    start = finished["init_from"] / "final" / "model.safetensors" if "init_from" in finished else None
    memory = None
    if runs.finished(folder) is None:
        memory = require_room(config, finished, _free(device) if device.type == "cuda" else None)
    try:
        run = runs.Run.claim(folder, config, {"device": device.type, "memory": memory})
    except runs.RunIsDone:
        checkpoint.remove_all(folder)  # of a process that was killed right behind DONE
        raise
    log.info("%s  -> %s", naming.headline(runs.flatten(config)), folder)
    with _mirrored(run.folder, config) if mirror else nullcontext(), run:
        started = time.perf_counter()
        refuse_edited(config, folder.name)
        tell_gold(config)
        lab = labs.build(config, session(config, run, stop), device, start)
        run.ready(time.perf_counter() - started, labs.architecture(lab))
        stop.check()
        loop = make(config["algo"]["loop"])
        loss = config["algo"].get("loss")
        final = loop.run(lab) if loss is None else loop.run(lab, make(runs.completed(loss)))
        run.finish(final)
        checkpoint.remove_all(run.folder)  # after DONE: a run that is killed before it needs them
    return final


def session(config: Mapping[str, Any], run: runs.Run, stop: StopFlag) -> Session:
    """Describe one attempt at a run to its loop."""
    return Session(
        run=run,
        seed=config["seed"],
        checkpoint_every=config["runtime"]["checkpoint_every"],
        progress={"auto": None, "always": True, "never": False}[config["runtime"]["progress"]],
        describe=log.info,
        stop=stop,
    )


@contextmanager
def _mirrored(folder: Path, config: Mapping[str, Any]) -> Generator[None]:
    """Send what the run folder receives to the tracking server, and at the end wait a bounded time for the rest."""
    with mirroring(config) as mirror:
        mirror.begin(folder, destination_of(config))
        yield


def _finished_runs(outputs: Path, config: Mapping[str, Any]) -> dict[str, Path]:
    """Map each key of a config that names a run (`init_from`, `reward.run`) to the folder of that run.

    Raises:
        UserError: One of them is not finished, or nowhere in `outputs`.
    """
    folders = {}
    for place, key in needed_runs(config).items():
        done = [record.folder for record in runs.find_key(outputs, key) if record.done]
        if not done:
            found = f"{place}={key}, which is no finished run in {outputs}"
            raise UserError(found, "the run key of a finished run", place)
        folders[place] = done[0]
    return folders


def _free(gpu: torch.device) -> int:
    """Return what is free of a GPU's memory, in bytes."""
    return torch.cuda.mem_get_info(gpu)[0]


def device_of(name: str) -> torch.device:
    if name == "auto":
        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        if given and not torch.cuda.is_available():
            log.warning("CUDA_VISIBLE_DEVICES=%s, but torch sees no GPU: this run uses the CPU", given)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"runtime.device={name} on a machine without CUDA", "auto or cpu", "runtime.device")
    return torch.device(name)
