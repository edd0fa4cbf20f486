"""Which heuristics go with which algorithms."""

from collections.abc import Mapping
from typing import Any

from rftlab.errors import UserError

TRAINS_ON_SAMPLES = "an algorithm that trains on its own samples"


def check_heuristic(config: Mapping[str, Any]) -> None:
    """Refuse a heuristic that would turn nothing, and be part of the run's name all the same.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    heuristic, algo = config["heuristic"], config["algo"]
    name, loss, loop = heuristic["name"], algo["loss"], algo["loop"] if isinstance(algo["loop"], Mapping) else {}
    found = f"heuristic={name} with algo={algo['name']}"
    if name == "entropy" and isinstance(loss, Mapping) and "_target_" not in loss:
        raise UserError(f"{found}, which trains nothing", TRAINS_ON_SAMPLES, "algo or heuristic")
    if name == "temperature" and "steps" in loop:
        raise UserError(f"{found}, which samples nothing", TRAINS_ON_SAMPLES, "algo or heuristic")
    if name == "learning_rate" and loss is None:
        raise UserError(f"{found}, which trains nothing", "an algorithm that trains", "algo or heuristic")
    if heuristic.get("prompts") is None:
        return
    if "iterations" not in loop:
        said = "nothing" if loss is None else "on no samples of its own"
        raise UserError(f"{found}, which trains {said}", TRAINS_ON_SAMPLES, "algo or heuristic")
    if name == "dynamic_sampling":
        _check_groups(found, loop)


def _check_groups(found: str, loop: Mapping[str, Any]) -> None:
    """Let a prompt have several responses, whose scores can differ, and an iteration so many prompts."""
    if loop["samples_per_prompt"] < 2:
        found = f"{found} and algo.loop.samples_per_prompt={loop['samples_per_prompt']}"
        raise UserError(found, "2 or more, as one response has no spread", "algo.loop.samples_per_prompt or heuristic")
    if loop["tokens_per_iteration"] is not None:
        found = f"{found} and algo.loop.tokens_per_iteration={loop['tokens_per_iteration']}"
        change = "algo.loop.prompts_per_iteration and minibatch_size, or heuristic"
        raise UserError(found, "a rollout counted in prompts, as prompts are replaced", change)
