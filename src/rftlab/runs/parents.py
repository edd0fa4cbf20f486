"""Which runs must be finished before a run: the one it starts from, and those that its config names by key.

A mapping with the keys `run` and `parent`, wherever it stands in a config, names one: `run` is its key, and `parent`
says how it was composed, or is null where its key was given (docs/adr/0031).
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any


def named_runs(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every mapping of a config that names a run, with its dotted key."""
    for name, value in config.items():
        if isinstance(value, dict):
            if "run" in value and "parent" in value:
                yield f"{prefix}{name}", value
            yield from named_runs(value, f"{prefix}{name}.")


def names_run(node: Any) -> bool:
    """Say whether a value of a config is a mapping that names a run."""
    return isinstance(node, Mapping) and "run" in node and "parent" in node


def needed_runs(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of the runs that must be finished first, by the key of the config that names each."""
    named = {"init_from": config.get("init_from"), **{f"{key}.run": node["run"] for key, node in named_runs(config)}}
    return {place: key for place, key in named.items() if key is not None}


def follows(key: str, keys: Collection[str]) -> bool:
    """Say whether a dotted key holds a run that was composed, so that its value follows from the rest of the config.

    `keys` are all keys of the flat config, or of several.
    """
    place = key.removesuffix(".run")
    return place != key and f"{place}.parent.overrides" in keys
