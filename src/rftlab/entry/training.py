"""From a plan to a trained model: build the objects that the config names and hand them to the loop."""

import logging
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from transformers.utils.logging import disable_progress_bar

from rftlab import runs, tracking
from rftlab.errors import UserError
from rftlab.loops.lab import Evaluation, Lab, OptimizerSpec, Task
from rftlab.loops.session import Session
from rftlab.models import Policy, freeze_below, load_weights
from rftlab.stop import StopFlag
from rftlab.streams import stream

log = logging.getLogger("rftlab")

CORPORA = ("corpus_spans", "corpus_causal", "review_labels")  # generated here, so they have no source to choose


def train(config: Mapping[str, Any], folder: Path, stop: StopFlag) -> dict[str, float]:
    """Train in a run folder, mirrored to the tracking server; returns the final metrics.

    `stop` ends the run at a step boundary, with everything saved.

    Raises:
        RunIsDone: Nothing is left to do.
        RunIsLive: Another process works on this run.
        StopRequested: The run was asked to stop and has saved itself.
        UserError: Data, model or parent cannot be had.
    """
    disable_progress_bar()  # of transformers, which draws one for every model that it loads
    if config["runtime"]["threads"] is not None:
        torch.set_num_threads(config["runtime"]["threads"])
    device = _device(config["runtime"]["device"])
    start = _final_weights(Path(config["paths"]["outputs"]), config["init_from"])
    run = runs.Run.claim(folder, config)
    log.info("%s  %s  %s data  -> %s", config["name"], config["scale"], config["data"]["source"], folder)
    with _mirrored(run.folder, config), run:
        started = time.perf_counter()
        lab = build(config, run, device, start, stop)
        run.ready(time.perf_counter() - started)
        stop.check()
        loop = _make(config["algo"]["loop"])
        final = loop.run(lab, _make(config["algo"]["loss"]))
        run.finish(final)
    return final


@contextmanager
def _mirrored(folder: Path, config: Mapping[str, Any]) -> Generator[None]:
    """Send what the run folder receives to the tracking server, and at the end wait a bounded time for the rest."""
    settings = config["tracking"]
    if settings["uri"] is None:
        yield
        return
    outputs = Path(config["paths"]["outputs"])
    destination = partial(tracking.prepare, settings["uri"], config["sweep"]["name"], outputs)
    mirror = tracking.Mirror(folder, destination, settings["send_every_s"])
    try:
        yield
    finally:
        mirror.close(settings["close_timeout_s"])


def build(config: Mapping[str, Any], run: runs.Run, device: torch.device, start: Path | None, stop: StopFlag) -> Lab:
    """Make the objects of one run: data first, as its errors are the cheapest to find."""
    data, evaluation, optimizer = (config[name] for name in ("data", "eval", "optimizer"))
    mirror = config["paths"]["hub_mirror"] and Path(config["paths"]["hub_mirror"])
    task = _task(data, mirror, device)
    policy = _policy(config, device, start)
    return Lab(
        task=task,
        policy=policy,
        value_kind=config["model"]["value"]["kind"],
        value_head=config["model"]["value"]["head"],
        optimizer=OptimizerSpec(
            build=_make(optimizer["build"], _convert_="all"),
            lr=optimizer["lr"] * optimizer["lr_factor"],
            schedule=optimizer["schedule"],
            warmup_steps=optimizer["warmup_steps"],
            max_grad_norm=optimizer["max_grad_norm"],
        ),
        evaluation=Evaluation(
            sizes={split: evaluation[f"n_{split}"] for split in ("train", "validation", "test")},
            **{
                name: evaluation[name]
                for name in ("every", "batch_size", "probe_prompts", "probe_samples", "std_below", "n_logged")
            },
        ),
        session=_session(config, run, stop),
    )


def _session(config: Mapping[str, Any], run: runs.Run, stop: StopFlag) -> Session:
    return Session(
        run=run,
        seed=config["seed"],
        checkpoint_every=config["runtime"]["checkpoint_every"],
        progress={"auto": None, "always": True, "never": False}[config["runtime"]["progress"]],
        describe=log.info,
        stop=stop,
    )


def _task(data: Mapping[str, Any], mirror: Path | None, device: torch.device) -> Task:
    if data["name"] in CORPORA:
        splits = _make(data["loader"])
    else:
        splits = _make(data["loader"], source=data["source"], hub_mirror=mirror)
    places = {"hub_mirror": mirror, "device": device} if data["reward"] and "source" in data["reward"] else {}
    task = Task(
        name=data["name"],
        splits=splits,
        max_prompt_tokens=data["prompt"]["max_tokens"],
        truncation_side=data["prompt"]["truncation_side"],
        max_target_tokens=data["target"]["max_tokens"],
        append_eos=data["target"]["append_eos"],
        rollout=_make(data["rollout"]),
        evaluation=_make(data["evaluation"]),
        reward=_make(data["reward"], **places),
        low_reward=data["low_reward"],
    )
    if data["needs_targets"] and any(not example.targets for example in splits.train):
        raise UserError(
            f"prompts without gold texts in data={data['name']}",
            "at least one each, as the reward compares with them",
            "data",
        )
    return task


def _policy(config: Mapping[str, Any], device: torch.device, start: Path | None) -> Policy:
    model = config["model"]
    generator = stream(config["seed"], "initialisation")
    policy = _make(model["policy"], hub_mirror=config["paths"]["hub_mirror"], generator=generator)
    if start is not None:
        load_weights(policy, start)
    freeze_below(policy, model["unfrozen_blocks"])
    return policy.to(device)


def _final_weights(outputs: Path, key: str | None) -> Path | None:
    if key is None:
        return None
    for record in runs.find_key(outputs, key):
        if record.done:
            return record.folder / "final" / "model.safetensors"
    found = f"init_from={key}, which is no finished run in {outputs}"
    raise UserError(found, "the run key of a finished run", "init_from")


def _make(node: Any, **late: Any) -> Any:
    """Build what a config node names, with the arguments that no config holds; errors come as they were raised."""
    try:
        return instantiate(node, **late)
    except InstantiationException as error:
        raise (error.__cause__ or error) from None


def _device(name: str) -> torch.device:
    if name == "auto":
        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        if given and not torch.cuda.is_available():
            log.warning("CUDA_VISIBLE_DEVICES=%s, but torch sees no GPU: this run uses the CPU", given)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"runtime.device={name} on a machine without CUDA", "auto or cpu", "runtime.device")
    return torch.device(name)
