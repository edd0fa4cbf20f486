"""Who a run is: the key of its config, its folder, and what tells two configs apart."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from rftlab.errors import UserError

# Raise it when the same config starts to mean another computation. From 2 on, the key holds the last word of a
# `_target_` of ours instead of its whole path, so that moving a file changes no key. From 3 on, noise is keyed by row,
# and how passes and decoding are cut into batches is no longer part of the key.
SCHEMA_VERSION = 3
BATCHES = frozenset({"algo.loop.microbatch_size", "eval.batch_size"})  # they change rounding alone
NOT_IDENTITY = BATCHES | {
    "paths", "tracking", "runtime", "resources", "hydra", "sweep", "name", "schema_version", "overrides"
}  # fmt: skip
# Keys that came after runs that are kept, with the value at which a config computes what it did without them; by the
# last word of the `_target_` that they stand beside, or its last two where many have the last one. At this value they
# are left out of the hash, so those runs keep their keys. A key that comes later to a node with a `_target_` of ours
# gets its line here.
CAME_LATER: Mapping[str, Mapping[str, object]] = {
    "PPO": {"entropy": "exact", "kl_coef": 0.0},
    "Supervised": {"sample_seed": None},
    "Offline": {"scores": "given"},
    "Online": {"minibatch_of": "rows"},
    "published.load": {
        "truncation_side": "left",
        "revision": None,
        "prompt": {
            "_target_": "rftlab.rewards.published.PromptLimit",
            "tokenizer": None,
            "max_tokens": None,
            "truncation_side": "left",
            "ending": None,
        },
    },
}
# The same of keys that stand beside no `_target_`.
LATER_KEYS: Mapping[str, object] = {
    "data.prompt.format": "plain",
    "data.prompt.system": None,
    "data.prompt.drop_long": False,
    "data.target.drop_long": False,
    "data.stop": None,
    "model.lora": {"rank": None, "alpha": 16.0, "targets": None, "dropout": 0.0},
    "eval.kl_to_start": False,
    "gold": None,
    "data.loader.hub_revision": None,
    "data.loader.pairs_hub_revision": None,
    "data.loader.drop_duplicates": False,
    "data.loader.drop": {"_target_": "rftlab.data.parts.counting.Drop", "duplicates": False, "empty": False},
}
KEY_LENGTH = 12
_OURS = re.compile(r"(?:rftlab|hydra_plugins)\.(?:\w+\.)*(\w+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=,+-]*")


def run_key(config: Mapping) -> str:
    """Return 12 hex digits that identify the computation a resolved config describes.

    Hashed is the whole config without the keys that say where and how it runs and how it is cut to fit into memory, the
    names of run and sweep, and the overrides that gave the config, so that a changed default gives a new key and a
    renamed sweep does not. 1e-4 and 0.0001 are one value; 1 and 1.0 are two, because a structured config never mixes
    them. Of a `_target_` of ours the last word counts, wherever its module lies; a target of the user's own counts
    whole. A key of `CAME_LATER` does not count where it says what was computed without it, and the reward is hashed as
    a part of the data. A stored config keeps the schema version it was written with.

    Raises:
        UserError: a value is NaN, infinite or not plain data.
    """
    version = config.get("schema_version", SCHEMA_VERSION)
    left_out = NOT_IDENTITY if version >= 3 else NOT_IDENTITY - BATCHES
    counted = _counted(as_hashed(config), left_out)
    hashed = _without_modules(counted) if version >= 2 else counted
    text = canonical_json({"schema_version": version, "config": hashed})
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def as_hashed(config: Mapping) -> Mapping:
    """Put the reward back into the data, where it was before it had a group of its own, so that no key changed.

    Data that is not answered with text never held one, not even null.
    """
    if "reward" not in config:
        return config
    rest = {key: value for key, value in config.items() if key != "reward"}
    data = rest.get("data", {})
    if config["reward"] is None and "prompt" not in data:
        return rest
    return {**rest, "data": {**data, "reward": config["reward"]}}


def with_own_reward(config: Mapping) -> dict:
    """Return a stored config as it would be written today: with its reward beside the data, not in it."""
    data = config.get("data")
    if not isinstance(data, Mapping) or "reward" not in data:
        return dict(config)
    rest = {key: value for key, value in data.items() if key != "reward"}
    words = {key: [key_today(word) for word in config[key]] for key in ("overrides",) if config.get(key)}
    return {**config, **words, "data": rest, "reward": data["reward"]}


def key_today(key: str) -> str:
    """Return a dotted key, or an override, with the place of the reward as it is today."""
    return re.sub(r"^(\+*)data\.reward(?=[.=]|$)", r"\1reward", key)


def _without_modules(value: object) -> object:
    """Shorten every `_target_` of ours to its last word, and leave out what came later and says nothing new."""
    if isinstance(value, dict):  # asked first, as it is quicker than the abstract class, and a grid asks often
        later = _later(value) if "_target_" in value else {}
        return {
            key: _last_word(item) if key == "_target_" and isinstance(item, str) else _without_modules(item)
            for key, item in value.items()
            if not (key in later and item == later[key])
        }
    if isinstance(value, Mapping):
        return _without_modules(dict(value))
    return [_without_modules(item) for item in value] if isinstance(value, (list, tuple)) else value


@cache  # the jobs of a grid name the same few
def _last_word(target: str) -> str:
    ours = _OURS.fullmatch(target)
    return ours.group(1) if ours else target


def completed(node: Mapping) -> dict[str, object]:
    """Add the keys that came after a stored node was written, with the values that mean the same."""
    return {**_later(node), **node}


def later_keys(node: str) -> dict[str, object]:
    """Return the keys of `LATER_KEYS` that came to a node, with the values that mean what was computed before."""
    return {key.removeprefix(f"{node}."): value for key, value in LATER_KEYS.items() if key.startswith(f"{node}.")}


def without_later(config: Mapping, prefix: str = "") -> dict[str, object]:
    """Leave out the keys that came later and say what was computed before they came: old and new runs then match.

    `config` lies at `prefix` of a whole one.
    """
    later = _later(config) | {name.removeprefix(prefix): value for name, value in LATER_KEYS.items()}
    return {
        key: without_later(value, f"{prefix}{key}.") if isinstance(value, Mapping) else value
        for key, value in config.items()
        if not (key in later and value == later[key])
    }


def _later(node: Mapping) -> dict[str, object]:
    target = node.get("_target_")
    if not (isinstance(target, str) and of_ours(target)):
        return {}
    return dict(CAME_LATER.get(_last_word(target)) or CAME_LATER.get(".".join(target.split(".")[-2:]), {}))


def of_ours(target: str) -> bool:
    """Say whether a `_target_` is ours."""
    return _OURS.fullmatch(target) is not None


def identity(config: Mapping) -> dict[str, object]:
    """Return the part of a config that the key is made of, each `_target_` of ours as its last word."""
    counted = _counted(config, NOT_IDENTITY)
    return {key: _without_modules(value) for key, value in counted.items() if (key, value) != ("reward", None)}


@cache  # of the keys that configs have
def of_identity(key: str) -> bool:
    """Say whether a dotted key is part of what a run is; not if it, or what it lies in, is in NOT_IDENTITY."""
    parts = key.split(".")
    return not any(".".join(parts[:end]) in NOT_IDENTITY for end in range(1, len(parts) + 1))


def _counted(config: Mapping, left_out: Collection[str], prefix: str = "") -> dict[str, object]:
    """Leave out dotted keys, and those that came later and have the value of before; `config` lies at `prefix`."""
    kept = {
        key: value
        for key, value in config.items()
        if (name := f"{prefix}{key}") not in left_out and not (name in LATER_KEYS and value == LATER_KEYS[name])
    }
    within = _around(frozenset(left_out))
    return {
        key: _counted(value, left_out, name)
        if (name := f"{prefix}{key}.") in within and isinstance(value, Mapping)
        else value
        for key, value in kept.items()
    }


@cache
def _around(left_out: frozenset[str]) -> frozenset[str]:
    """Name the nodes, each with a dot behind it, in which something is left out."""
    parts = [key.split(".") for key in (*left_out, *LATER_KEYS)]
    return frozenset(f"{'.'.join(names[:end])}." for names in parts for end in range(1, len(names)))


def canonical_json(value: object) -> str:
    """Write plain data in the one way that equal data share: sorted keys, no spaces, shortest floats."""
    return json.dumps(_plain(value, ()), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: object, where: tuple[object, ...]) -> object:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value + 0.0  # -0.0 becomes 0.0
    if isinstance(value, (list, tuple)):
        return [_plain(item, (*where, index)) for index, item in enumerate(value)]
    if isinstance(value, (dict, Mapping)) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, (*where, key)) for key, item in value.items()}
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).removeprefix(".")
    raise UserError(
        f"{place or 'the config'} is {value!r}",
        "null, a boolean, a finite number, a string, a list, or a mapping with string keys",
        place or "the config",
    )


def run_folder(outputs: Path, sweep: str, name: str, key: str) -> Path:
    """Return `outputs/<sweep>/<name>-<key>`, or the folder that already holds this key under an older name.

    Raises:
        UserError: the sweep or the name cannot be part of a file name.
    """
    for value, where in ((sweep, "sweep.name"), (name, "name")):
        if not _NAME.fullmatch(value) or len(value) > 200:
            raise UserError(f"{where}={value!r}", "at most 200 letters, digits and . _ = , + -", where)
    folder = outputs / sweep / f"{name}-{key}"
    if folder.exists():
        return folder
    renamed = sorted((outputs / sweep).glob(f"*-{key}"))
    return renamed[0] if renamed else folder


def flatten(config: Mapping) -> dict[str, object]:
    """Return `a.b.c -> value`; lists and empty mappings are values."""
    flat: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat.update({f"{key}.{inner}": leaf for inner, leaf in flatten(value).items()})
        else:
            flat[str(key)] = value
    return flat


def flat_config(config: Mapping, way: Callable[[Mapping], Mapping] = dict) -> dict[str, Any]:
    """Flatten what `way` (`identity`, `without_later`) makes of a config; nodes that runs share are flattened once.

    `way` has to treat each node of the config by itself.
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat.update(_flat_node(way, key, json.dumps(value)))
        else:
            flat.update(flatten(way({key: value})))
    return flat


@lru_cache(16_384)
def _flat_node(way: Callable[[Mapping], Mapping], key: str, node: str) -> dict[str, object]:
    return flatten(way({key: json.loads(node)}))


def changed_keys(config_a: Mapping, config_b: Mapping) -> list[str]:
    """Return the dotted identity keys whose values differ, or that only one config has, in alphabetical order."""
    a, b = flatten(identity(config_a)), flatten(identity(config_b))
    missing = object()
    return sorted(key for key in a.keys() | b.keys() if not _same(a.get(key, missing), b.get(key, missing)))


def _same(a: object, b: object) -> bool:
    return a is b or (type(a) is type(b) and a == b) or (isinstance(a, (list, tuple)) and list(a) == b)
