"""Which heuristics go with which algorithms, and that a heuristic does what its name says."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rftlab.config.options import content, options
from rftlab.errors import UserError
from rftlab.runs.identity import flatten

TRAINS_ON_SAMPLES = "an algorithm that trains on its own samples"
OWN = re.compile(r"\$\{heuristic\.(\w+)\}")  # a key of the heuristic, in what its file turns


def check_heuristic(config: Mapping[str, Any]) -> None:
    """Refuse a heuristic that would turn nothing, or another thing, and be part of the run's name all the same.

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
    _check_keys(heuristic)
    _check_turned(config)
    _check_value(config)
    if heuristic.get("prompts") is None:
        return
    if "iterations" not in loop:
        said = "nothing" if loss is None else "on no samples of its own"
        raise UserError(f"{found}, which trains {said}", TRAINS_ON_SAMPLES, "algo or heuristic")
    if name == "dynamic_sampling":
        _check_groups(found, loop)


def _check_keys(heuristic: Mapping[str, Any]) -> None:
    """Let a heuristic with the name of a file have the keys of that file, and choose prompts if it says so."""
    name = heuristic["name"]
    if name in options("heuristic"):
        said = content(f"heuristic/{name}")["heuristic"]
        if lacking := [f"heuristic.{key}" for key in said if key not in heuristic]:
            found = f"heuristic.name={name} without {' and '.join(lacking)}"
            raise UserError(found, f"heuristic={name}, whose file says what it turns", "heuristic.name")
        others = [f"heuristic.{key}" for key in heuristic if key not in said]
        if others and name == "none":
            found = f"heuristic.name=none with {' and '.join(others)}"
            raise UserError(found, "heuristic=none, or a name that says what is turned", "heuristic.name")
    if "prompts" in heuristic and heuristic["prompts"] is None:
        found = f"heuristic.prompts=null with heuristic={name}, which then chooses no prompts"
        raise UserError(found, "how prompts are chosen, or heuristic=none", "heuristic.prompts or heuristic")


def _check_turned(config: Mapping[str, Any]) -> None:
    """Let what the file of a heuristic turns be as the heuristic says."""
    heuristic, values = config["heuristic"], flatten(config)
    name = heuristic["name"]
    for key, wanted in _turned(heuristic):
        if isinstance(wanted, list):  # overrides of a parent, which may have others beside them
            there = values.get(key)
            if lacking := [text for text in wanted if not isinstance(there, list) or text not in there]:
                found = f"heuristic={name} with {key} that lacks {lacking[0]}"
                raise UserError(found, f"{key} as its file has it", f"{key} or heuristic")
        elif values.get(key) != wanted:
            found = f"{key}={values.get(key)} with heuristic={name}, which turns it to {wanted}"
            raise UserError(found, f"{wanted}, or a value for the heuristic alone", f"{key} or heuristic")


def _turned(heuristic: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the keys that the file of a heuristic turns by keys of its own, and the values that they should have."""
    name = heuristic["name"]
    said = content(f"heuristic/{name}") if name in options("heuristic") else {}
    for key, value in flatten({group: node for group, node in said.items() if group != "heuristic"}).items():
        if isinstance(value, list):
            yield key, [OWN.sub(lambda own: str(heuristic[own.group(1)]), str(text)) for text in value]
        elif own := OWN.fullmatch(str(value)):
            yield key, heuristic[own.group(1)]


def _check_value(config: Mapping[str, Any]) -> None:
    """Let the value of a heuristic be another than that of plain finetuning."""
    heuristic, probe = config["heuristic"], config["data"].get("probe") or {}
    plain = {"entropy": ("coef", 0.0), "learning_rate": ("factor", 1.0)}
    plain["temperature"] = ("temperature", probe.get("temperature"))
    if heuristic["name"] not in plain:
        return
    key, value = plain[heuristic["name"]]
    if heuristic[key] == value:
        found = f"heuristic.{key}={heuristic[key]} with heuristic={heuristic['name']}, which turns nothing"
        raise UserError(found, f"another value than {value}, or heuristic=none", f"heuristic.{key} or heuristic")


def _check_groups(found: str, loop: Mapping[str, Any]) -> None:
    """Let a prompt have several responses, whose scores can differ, and an iteration so many prompts."""
    if loop["samples_per_prompt"] < 2:
        found = f"{found} and algo.loop.samples_per_prompt={loop['samples_per_prompt']}"
        raise UserError(found, "2 or more, as one response has no spread", "algo.loop.samples_per_prompt or heuristic")
    if loop["tokens_per_iteration"] is not None:
        found = f"{found} and algo.loop.tokens_per_iteration={loop['tokens_per_iteration']}"
        change = "algo.loop.prompts_per_iteration and minibatch_size, or heuristic"
        raise UserError(found, "a rollout counted in prompts, as prompts are replaced", change)
