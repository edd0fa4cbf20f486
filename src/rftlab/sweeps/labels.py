"""Names of runs for people: what tells a run from the others of its name."""

from collections.abc import Mapping, Sequence
from typing import Any

from rftlab.runs.axes import spelled
from rftlab.runs.identity import flat_config, identity
from rftlab.runs.parents import follows


def labels(names: Mapping[str, str], configs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Name every run, by key, with as few settings as tell it from the others of its name."""
    told = settings(names, configs)
    return {
        key: " ".join([name, *(f"{setting}={value}" for setting, value in told[key].items())])
        for key, name in names.items()
    }


def short_settings(names: Mapping[str, str], configs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Write what tells every run from the others of its name by the last words of its keys, e.g. `lr=0.001 seed=0`."""
    return {
        key: " ".join(f"{setting.rpartition('.')[2]}={value}" for setting, value in found.items())
        for key, found in settings(names, configs).items()
    }


def settings(names: Mapping[str, str], configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return as few settings as tell every run, by key, from the others of its name, as on the command line."""
    flat = {key: flat_config(config, identity) for key, config in configs.items()}
    groups: dict[str, list[str]] = {}
    for key, name in names.items():
        groups.setdefault(name, []).append(key)
    varying = {name: _varying([flat[key] for key in keys]) for name, keys in groups.items()}
    return {key: {setting: _short(flat[key].get(setting)) for setting in varying[name]} for key, name in names.items()}


def _short(value: object) -> str:
    """Write a value as on the command line; numbers that a search has drawn have sixteen digits."""
    return "null" if value is None else spelled(value)


def _varying(configs: Sequence[Mapping[str, object]]) -> list[str]:
    """Return as few keys as tell the configs apart, a heuristic's own before all, then the names of options.

    What a parent makes different (`parent`, `init_from`, the key of a run that was composed) follows from the rest.
    """
    every = {key for config in configs for key in config}
    keys = {key for key in every if key.split(".")[0] not in ("parent", "init_from") and not follows(key, every)}
    chosen: list[str] = []
    told = 1  # groups of configs that the chosen keys tell apart
    for key in sorted(keys, key=lambda key: (not key.startswith("heuristic"), not key.endswith(".name"), key)):
        if told == len(configs):
            break
        if (classes := _classes(configs, [*chosen, key])) > told:
            chosen.append(key)
            told = classes
    return chosen


def _classes(configs: Sequence[Mapping[str, object]], keys: Sequence[str]) -> int:
    """Count the configs that differ in the given keys."""
    return len({tuple(str(config.get(key)) for key in keys) for config in configs})
