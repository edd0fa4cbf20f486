"""What the runs of a sweep were asked to differ in: its axes.

A run keeps the words that asked for it (`overrides`, docs/adr/0019), without its seed. A setting that these words name
and that does not have one value in all runs is an axis. Its values are those of the resolved config, so that `1e-4` and
`0.0001` are one, and a run that leaves the word out has the value of the default.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rftlab.runs.identity import canonical_json, flatten, identity
from rftlab.runs.naming import data_name, data_source
from rftlab.runs.parents import follows
from rftlab.runs.records import FOUND, RunRecord

ABSENT = None  # the value of a setting that a run does not have
_OUTSIDE = ("seed", "parent", "init_from")
LOOKS = tuple(  # when and how a run is looked at: no setting of what it does
    f"eval.{key}" for key in ("every", "probe_every", "probe_prompts_during", "batch_size", "n_logged", "kl_to_start")
)
GOLD = "gold"  # the group of a reward that scores evaluations alone: it is a look, too
_MEANS = re.compile(r"(reward|data\.(evaluation|rewards|loader\.hub_id))(\.(?!batch_size)|$)")


def is_look(key: str) -> bool:
    """Say whether a dotted key is about when and how a run is looked at, and not about what it does."""
    return key in LOOKS or key.split(".")[0] == GOLD


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


def cell_of(record: RunRecord) -> str:
    """Return a text that all seeds of one setting share, and no run of another one."""
    config = record.config
    flat = flatten(identity(config)) | {key: value for key, value in record.flat.items() if key == FOUND}
    outside = _OUTSIDE if config.get("parent") else _OUTSIDE[:2]
    kept = {key: value for key, value in flat.items() if key.split(".")[0] not in outside and not follows(key, flat)}
    return canonical_json(kept)


@dataclass(frozen=True)
class Words:
    """A run as its axes are read from it."""

    flat: Mapping[str, Any]  # its flat config
    overrides: Sequence[str] | None
    cell: str  # equal for all seeds of one setting

    def value(self, key: str) -> Any:
        """Return what the run has for a setting."""
        return value_of(self.flat, self.overrides, key)


def words_of_run(record: RunRecord) -> Words:
    """Read what axes are found from."""
    return Words(record.flat, record.overrides, cell_of(record))


def asked_axes(found: Sequence[Words]) -> list[str]:
    """Return every setting that the runs' words name and in which they differ, groups first, then as first named.

    How runs are looked at is no setting.
    """
    named = dict.fromkeys(key for run in found for key in words_of(run.overrides) if not key.startswith("~"))
    axes = [key for key in named if not is_look(key) and len({_text(run.value(key)) for run in found}) > 1]
    return sorted(axes, key=lambda key: any(f"{key}.name" in run.flat for run in found), reverse=True)


def axes_of(found: Sequence[Words]) -> list[str]:
    """Return as few settings as tell the cells of these runs apart: axes, then whatever else differs between them.

    Axes with many values come first, as the others often follow from them. Runs of before a default was changed differ
    in what nobody asked for; that setting is then among the result.
    """
    asked, every, cells = asked_axes(found), {key for run in found for key in run.flat}, {run.cell for run in found}

    def classes(keys: Sequence[str]) -> int:
        return len({tuple(_text(run.value(key)) for key in keys) for run in found})

    rest = sorted(key for key in every if not _hidden(key, every) and key not in asked)
    chosen: list[str] = []
    for key in [*sorted(asked, key=lambda key: -classes([key])), *rest]:
        if classes(chosen) >= len(cells):
            break
        if classes([*chosen, key]) > classes(chosen):
            chosen.append(key)
    return sorted(chosen, key=lambda key: (key not in asked, asked.index(key) if key in asked else 0, key))


def meaning_of(flat: Mapping[str, Any]) -> tuple:
    """Return what the numbers of a run mean: equal for runs whose rewards may be compared."""
    same = sorted((key, str(value)) for key, value in flat.items() if _MEANS.match(key) and not follows(key, flat))
    return data_name(flat), data_source(flat), str(flat.get("scale")), tuple(same)


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
