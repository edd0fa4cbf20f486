"""Every reward is built here and called through one check: a wrong answer of it is one line and no wrong number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from rftlab import runs
from rftlab.config.make import make
from rftlab.config.own_function import functions
from rftlab.config.signatures import signature
from rftlab.errors import UserError
from rftlab.types import Reward

ROUNDING = 1e-6  # by which a score may leave its range


@dataclass(frozen=True, kw_only=True)
class CheckedReward:
    """A reward that gives one finite float per response, in the range that it declares as `score_range`, if any."""

    reward: Reward
    name: str  # as the config names it
    place: str = "reward"  # the key of the config that holds it

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response.

        Raises:
            UserError: the reward gave no array, one of another shape or type, NaN, or a value out of its range.
        """
        scores = self.reward(prompts, responses, targets)
        expected = f"a NumPy array of {len(responses)} floats, one per response"
        change = f"{self.name}, or {self.place} to another reward"
        if not isinstance(scores, np.ndarray):
            raise UserError(f"{self.name} returned {_kind(scores)}", expected, change)
        if scores.shape != (len(responses),) or not np.issubdtype(scores.dtype, np.floating):
            found = f"{self.name} returned an array of shape {scores.shape} and type {scores.dtype}"
            raise UserError(found, expected, change)
        low, high = getattr(self.reward, "score_range", (-inf, inf))
        wrong = np.flatnonzero(~np.isfinite(scores) | (scores < low - ROUNDING) | (scores > high + ROUNDING))
        if len(wrong):
            found = f"{self.name} gave {scores[wrong[0]]:g} to the response {_short(responses[wrong[0]])}"
            whole = "a finite number" if (low, high) == (-inf, inf) else f"a number from {low:g} to {high:g}"
            raise UserError(found, whole, change)
        return scores


def build_reward(
    config: Mapping[str, Any], train_targets: Sequence[tuple[str, ...]], device: torch.device
) -> CheckedReward | None:
    """Build the reward of a config, and the rewards in it; None where there is none.

    Args:
        config: With `reward`, `paths` and the name of the data.
        train_targets: Gold texts of the training rows, of which some rewards count words.
        device: Where networks are put.

    Raises:
        UserError: A reward cannot be had.
    """
    reward = config["reward"]
    if reward is None:
        return None
    late = _late(config, device) | {"train_targets": train_targets, "place": "reward"}
    return CheckedReward(reward=_made(reward, late), name=_name(reward))


def build_gold(config: Mapping[str, Any], device: torch.device) -> CheckedReward | None:
    """Build the reward that scores evaluations beside that of the run; None where there is none.

    Raises:
        UserError: It cannot be had.
    """
    node = config.get("gold")  # a stored config may be older than the key
    if node is None:
        return None
    late = _late(config, device) | {"train_targets": (), "place": "gold"}
    return CheckedReward(reward=_made(node, late), name=_name(node), place="gold")


def _name(node: Mapping[str, Any]) -> str:
    """Name a reward as its user does: one of their own by its function."""
    own = next((function for function, inner in functions(node) if inner is node), None)
    return own or node["_target_"]


def _late(config: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Give what rewards take beside their keys."""
    paths = config["paths"]
    return {
        "hub_mirror": paths["hub_mirror"] and Path(paths["hub_mirror"]),
        "outputs": Path(paths["outputs"]),
        "data": config["data"]["name"],
        "source": config["data"]["source"],
        "device": device,
    }


def _made(node: Mapping[str, Any], late: Mapping[str, Any]) -> Any:
    """Build a node behind those in it, which no node of OmegaConf could hold; a stored one may lack later keys."""
    node = runs.completed(node)
    nested = {key: _inner(value, late) for key, value in node.items() if _holds_target(value)}
    given = {name: late[name] for name in _places(node)}
    aside = nested | {name: given.pop(name) for name in ("train_targets",) if name in given}  # too long for OmegaConf
    if not aside:
        return make(node, **given)
    rest = {key: value for key, value in node.items() if key not in nested}
    ready = partial(make({**rest, "_partial_": True, "_convert_": "all"}, **given), **aside)
    return ready if node.get("_partial_") else ready()


def _inner(value: Any, late: Mapping[str, Any]) -> Any:
    if not isinstance(value, Mapping):
        return value
    return _made(value, late) if "_target_" in value else {key: _inner(item, late) for key, item in value.items()}


def _holds_target(value: Any) -> bool:
    return isinstance(value, Mapping) and ("_target_" in value or any(map(_holds_target, value.values())))


def _places(node: Mapping[str, Any]) -> list[str]:
    """Name what a reward needs beside its keys: of a `source`, or, one of ours, of a `run` or a `corpus`."""
    ours = runs.of_ours(node["_target_"])
    network = ["hub_mirror", "device"]
    if "run" in node and ours:
        taken = signature(node["_target_"]) or {}
        return [name for name in (*network, "outputs", "data", "source", "place") if name in taken]
    return [*(network if "source" in node else []), *(["train_targets"] if "corpus" in node and ours else [])]


def _kind(scores: Any) -> str:
    """Say what a reward returned that is no array: of a list, the first item that is no number."""
    kind = f"a {type(scores).__name__}"
    items = scores if isinstance(scores, (list, tuple)) else ()
    wrong = [item for item in items if not isinstance(item, (int, float))][:1]
    return kind + "".join(f" with {_short(item)}, a {type(item).__name__}" for item in wrong)


def _short(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
