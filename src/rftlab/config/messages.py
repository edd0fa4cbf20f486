"""Wording of mistakes: Hydra's and OmegaConf's errors, and unknown keys, as found / expected / change on one line."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from rftlab.config.scales import place_of_mistake
from rftlab.errors import UserError

CONF = Path(__file__).resolve().parents[3] / "conf"
TYPES = {"Integer": "an integer", "Float": "a number", "Boolean": "true or false"}
OTHER_TYPE = "a value of the type that the schema gives"
PLACES = {  # where the types of each group of the schema stand in a config
    "run": [""],
    "model": ["model."],
    "network": ["model.network."],
    "data": ["data."],
    "loader": ["data.loader."],
    "decoding": ["data.rollout.", "data.evaluation."],
    "reward": ["data.reward."],
    "algo": ["algo."],
    "loop": ["algo.loop."],
    "optimizer": ["optimizer."],
    "build": ["optimizer.build."],
    "heuristic": ["heuristic."],
    "launcher": ["hydra.launcher."],
}
SYNTAX_ERRORS = ("mismatched input", "extraneous input", "no viable alternative", "token recognition error", "missing")


def explain(error: Exception) -> str:
    """Say in one line what was found, what was expected and which key to change."""
    if isinstance(error, UserError):
        return str(error)
    text = "\n".join(str(e) for e in (error, error.__cause__) if e is not None)
    for recognise in RECOGNISED:
        if (found := recognise(text)) is not None:
            place = place_of_mistake(CONF, text)
            return f"{place}: {found}" if place else str(found)
    return " ".join(text.split())


def _unknown_option(text: str) -> UserError | None:
    if not (match := re.search(r"Could not find '([^']+)/([^'/]+)'", text)):
        return None
    group, option = match.groups()
    available = re.findall(r"^\t(\S+)$", text, flags=re.MULTILINE)
    if group.startswith("experiment"):  # one group of many folders
        option = f"{group}/{option}".removeprefix("experiment/")
        group, root = "experiment", CONF / "experiment"
        available = [str(path.relative_to(root).with_suffix("")) for path in sorted(root.rglob("*.yaml"))]
    return UserError(f"{group}={option}, which is no option", _one_of(option, available), f"{group}")


def _unknown_key(text: str) -> UserError | None:
    key = None
    for pattern in (r"Could not override '([^']+)'", r"full_key: (\S+)", r"Key '([^']+)' (?:is )?not in"):
        if match := re.search(pattern, text):
            key = match.group(1)
            break
    if key is None or not re.search(r"Could not override|not in struct|not in '", text):
        return None
    return unknown_key(key)


def unknown_key(key: str) -> UserError:
    """Name the nearest key of the schema for a key that it lacks."""
    key = key.split("@")[0].lstrip("+")
    known = _schema_keys()
    if key == "sweep":
        return UserError("sweep=... as a group", "+sweep=NAME, with the plus sign", "+sweep")
    if key in known:  # some other option of the group has it
        group = key.split(".")[0]
        return UserError(
            f"key {key}, which the chosen {group} does not have",
            f"another {group}, one that has it",
            f"{key} or {group}",
        )
    longer = sorted(full for full in known if full.endswith(f".{key}"))
    expected = " or ".join(longer) if 0 < len(longer) <= 4 else _one_of(key, sorted(known), "a key of conf/")
    return UserError(f"key {key}, which the config does not have", expected, key)


def _wrong_type(text: str) -> UserError | None:
    match = re.search(r"Value '([^']*)'[^\n]*(?:could not be converted|is not a valid|is not supported)[^\n]*", text)
    if not match:
        return None
    key = re.search(r"full_key: (\S+)", text)
    kind = re.search(r"converted to (\w+)", text)
    name = key.group(1) if key else "the key"
    expected = TYPES.get(kind.group(1), OTHER_TYPE) if kind else OTHER_TYPE
    return UserError(f"{name}={match.group(1)}", expected, name)


def _missing_value(text: str) -> UserError | None:
    if not (match := re.search(r"Missing mandatory value: (\S+)", text)):
        return None
    full = re.search(r"full_key: (\S+)", text)
    key = (full or match).group(1)
    return UserError(f"{key} has no value", "a value, as the files of these groups have none for this scale", key)


def _swept_launcher(text: str) -> UserError | None:
    if not (match := re.search(r"Sweeping over Hydra's configuration is not supported : '([^=']+)=", text)):
        return None
    return UserError(f"several values for {match.group(1)}", "one, as a sweep has one launcher", match.group(1))


def _no_sweep(text: str) -> UserError | None:
    """Recognise several values on the command line of a single run."""
    if not (match := re.search(r"Ambiguous value for argument '([^']*)'", text)):
        return None
    return UserError(f"several values, {match.group(1)}", "one, or a sweep over them", "the command: add -m")


def _bad_syntax(text: str) -> UserError | None:
    if not (match := re.search(rf"(?:{'|'.join(SYNTAX_ERRORS)})[^\n]*", text)):
        return None
    found = f"an override that cannot be read ({match.group(0).strip()})"
    return UserError(found, "KEY=VALUE", "the command line (quote values with commas or spaces)")


def _one_of(value: str, options: list[str], otherwise: str = "one of the options") -> str:
    near = difflib.get_close_matches(value, options, n=3, cutoff=0.6)
    if near:
        return " or ".join(near)
    return ", ".join(options) if 0 < len(options) <= 12 else otherwise


def _schema_keys() -> set[str]:
    """Return every dotted key that some option of some group has."""
    store = ConfigStore.instance()
    keys = set()
    for group, prefixes in PLACES.items():
        for name in store.list(f"schema/{group}"):
            node = store.load(f"schema/{group}/{name}").node
            keys |= {f"{prefix}{key}" for key in _paths(node, "") for prefix in prefixes}
    return keys


def _paths(node: DictConfig, prefix: str) -> Iterator[str]:
    for name, child in node.items_ex(resolve=False):
        yield f"{prefix}{name}"
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
            yield from _paths(child, f"{prefix}{name}.")


RECOGNISED = (_unknown_option, _unknown_key, _wrong_type, _missing_value, _swept_launcher, _no_sweep, _bad_syntax)
