"""What the runs of a sweep were asked to differ in: its axes.

A run keeps the words that asked for it (`overrides`, docs/adr/0019), without its seed. A setting that these words name
and that does not have one value in all runs is an axis. Its values are those of the resolved config, so that `1e-4` and
`0.0001` are one, and a run that leaves the word out has the value of the default.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rftlab.runs.identity import canonical_json, flatten, identity
from rftlab.runs.parents import follows
from rftlab.runs.records import RunRecord

ABSENT = None  # the value of a setting that a run does not have
_OUTSIDE = ("seed", "parent", "init_from")


def value_of(flat: Mapping[str, Any], overrides: Collection[str] | None, key: str) -> Any:
    """Return what a run has for a setting: its value, the option of a group, else the word that was given.

    `flat` is the run's flat config. ABSENT where it has none of them.
    """
    for name in (key, f"{key}.name"):
        if name in flat:
            return flat[name]
    return words_of(overrides).get(key, ABSENT)


def words_of(overrides: Collection[str] | None) -> dict[str, str]:
    """Part overrides into keys and the words after the `=`."""
    return dict(word.lstrip("+").partition("=")[::2] for word in overrides or ())


def cell_of(config: Mapping[str, Any]) -> str:
    """Return a text that all seeds of one setting share, and no run of another one."""
    flat = flatten(identity(config))
    outside = _OUTSIDE if config.get("parent") else _OUTSIDE[:2]
    kept = {key: value for key, value in flat.items() if key.split(".")[0] not in outside and not follows(key, flat)}
    return canonical_json(kept)


def asked_axes(records: Sequence[RunRecord]) -> list[str]:
    """Return every setting that the runs' words name and in which they differ, groups first, then as first named."""
    flats = [flatten(record.config) for record in records]
    words = [words_of(record.overrides) for record in records]
    named = list(dict.fromkeys(key for each in words for key in each if not key.startswith("~")))
    found = []
    for key in named:
        if len({_text(value_of(flat, r.overrides, key)) for flat, r in zip(flats, records, strict=True)}) > 1:
            found.append(key)
    return sorted(found, key=lambda key: any(f"{key}.name" in flat for flat in flats), reverse=True)


def axes_of(records: Sequence[RunRecord]) -> list[str]:
    """Return as few settings as tell the cells of these runs apart: axes, then whatever else differs between them.

    Axes with many values come first, as the others often follow from them. Runs of before a default was changed differ
    in what nobody asked for; that setting is then among the result.
    """
    flats = [flatten(record.config) for record in records]
    cells = [cell_of(record.config) for record in records]
    asked = asked_axes(records)

    def classes(keys: Sequence[str]) -> int:
        return len(
            {
                tuple(_text(value_of(flat, record.overrides, key)) for key in keys)
                for flat, record in zip(flats, records, strict=True)
            }
        )

    every = {key for flat in flats for key in flat}
    rest = sorted(key for key in every if not _hidden(key, every) and key not in asked)
    chosen: list[str] = []
    for key in [*sorted(asked, key=lambda key: -classes([key])), *rest]:
        if classes(chosen) == len(set(cells)):
            break
        if classes([*chosen, key]) > classes(chosen):
            chosen.append(key)
    return sorted(chosen, key=lambda key: (key not in asked, asked.index(key) if key in asked else 0, key))


def _hidden(key: str, every: Collection[str]) -> bool:
    """Say whether a key says nothing of a cell: its seed, where it ran, or what follows from the rest."""
    outside = (*_OUTSIDE, "name", "overrides", "paths", "tracking", "runtime", "resources", "hydra", "sweep")
    return key.split(".")[0] in outside or follows(key, every)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def spelled(value: Any) -> str:
    """Write a value as on the command line."""
    if value is ABSENT:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def matches(value: Any, word: str) -> bool:
    """Say whether a value of a config is the one that a word of the command line stands for: numbers by their size."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(word) == float(value)
        except ValueError:
            return False
    return word == {True: "true", False: "false", None: "null"}.get(value, str(value)) if _simple(value) else False


def _simple(value: Any) -> bool:
    return value is None or isinstance(value, (bool, str))
