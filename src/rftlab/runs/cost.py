"""What a run costs: its number of steps, seconds per step, and which runs' steps cost the same."""

import hashlib
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from rftlab.runs.identity import as_hashed, canonical_json, flatten, identity

# Values that change what is learned, not how long a step takes; the number of steps is accounted for.
FREE = (
    "seed", "init_from", "parent", "heuristic", "optimizer", "algo.loss", "data.loader.seed",
    "data.low_reward", "data.rollout.temperature", "data.probe.temperature",
    "algo.loop.iterations", "algo.loop.epochs", "algo.loop.steps", "algo.loop.step_fraction",
)  # fmt: skip
COSTLY = ("heuristic.prompts",)  # of these; what chooses prompts samples more responses than it learns


def total_steps(config: Mapping[str, Any]) -> int:
    """Return how many iterations, epochs, prompts or optimiser steps, whatever its loop counts, a config asks for."""
    loop = config["algo"]["loop"]
    if "steps" in loop:
        return max(1, round(loop["steps"] * loop.get("step_fraction", 1.0)))
    if "prompts" in loop:
        sizes = (config["data"]["loader"][f"n_{split}"] for split in ("train", "validation"))
        known = ([n for n in (size, loop["prompts"]) if n is not None] for size in sizes)
        return max(1, sum(min(numbers, default=0) for numbers in known))
    return next((loop[name] for name in ("iterations", "epochs", "n_prompts") if name in loop), 1)


def shape(config: Mapping[str, Any]) -> str:
    """Return a text that is equal for runs whose steps cost the same: one model, data, loop sizes and evaluation."""
    flat = flatten(identity(as_hashed(config)))
    kept = {key: value for key, value in flat.items() if not _is_free(key)}
    return hashlib.sha256(canonical_json(kept).encode()).hexdigest()[:12]


@cache  # the jobs of a grid ask for the same keys thousands of times
def _is_free(key: str) -> bool:
    of_parent = key.endswith(".run") or ".parent." in f"{key}."  # which run another one reads costs nothing
    return of_parent or (_within(key, FREE) and not _within(key, COSTLY))


def _within(key: str, places: Collection[str]) -> bool:
    return any(f"{key}.".startswith(f"{place}.") for place in places)
