"""Who a run is, read from its flat config: its kind, its cell, and the words that tell its setting from others."""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from typing import Any

from rftlab.runs import NOT_IDENTITY, follows, is_look, of_identity
from rftlab.runs.naming import data_name, data_source, decoding, model_name, near_chance

GROUPS = ("model", "data", "algo", "optimizer", "heuristic")  # of the config, each with a name
KIND = ["scale", "source", "model", "data", "algo", "heuristic"]  # cells that share these are told apart by `variant`
CONTROLLED_KIND = [*KIND, "optimizer", "wrong_reward"]  # figures of controlled experiments show one of each
# what the steps of a run count, by the key that says how many its loop takes
COUNTED = {"iterations": "iteration", "steps": "optimiser step", "epochs": "epoch"}
OURS = re.compile(r'^"rftlab\.(\w+\.)*')  # what stands before the name of a class of the library
NOT_SETTING = NOT_IDENTITY | {"seed", "loaded"}
# overrides that need no words: the groups and what stands in titles anyway, and when and how a run is looked at
NAMED = (*GROUPS, "scale", "data.source", "data.rewards.wrong_modified")
PRESET = "preset"  # the word for `experiment=...`, which sets values
CHANCE = "reward=near_chance"  # of a run on real rows that the embedded classifier rewards
AFTER_SFT = "sft"  # stands for a heuristic where a run begins after a whole SFT (`start=sft`)
UNRECORDED = "changes=unrecorded"  # of a run that kept no overrides, at a scale that promises published values
SAMPLING = re.compile(
    r"data\.|reward(\.|$)|model\.|eval\.probe_(samples|prompts)$"
)  # what the pretrain statistics depend on
_WHERE = {
    **{"name": "name", "sweep": "sweep.name", "seed": "seed", "scale": "scale"},
    **{group: f"{group}.name" for group in ("algo", "optimizer", "heuristic")},
}
_NAMES = re.compile(r"(model|data|reward|loaded)\.|paths\.hub_mirror$|init_from$")  # keys that names are read from
Setting = dict[str, str]  # flat config: dotted key -> value as JSON


def identify(settings: list[Setting]) -> list[dict]:
    """Give the identity columns of runs, but for key and state, from their flat configs."""
    alike: dict[tuple, tuple[Setting, dict]] = {}  # seeds of one setting are looked at once
    cells, rows = [], []
    for setting in settings:
        rest = tuple(item for item in setting.items() if item[0] != "seed")
        if rest not in alike:
            cell = _cell_setting(setting)
            alike[rest] = cell, _row(setting) | {"cell": _digest(cell)}
        cell, row = alike[rest]
        cells.append(cell)
        rows.append(row | {"seed": json.loads(setting["seed"])})
    apart = _variants(rows, cells)
    words = _words_of_cells(rows, settings)
    return [row | _described(apart[row["cell"]], *words[row["cell"]]) for row in rows]


def _row(setting: Setting) -> dict:
    """Give the columns that one run has by itself."""
    where = {column: json.loads(setting[key]) for column, key in _WHERE.items()}
    return where | _kind_of_run(setting) | _beginning(setting)


def _described(apart: str, overrides: tuple[str, ...] | None, changed: list[str]) -> dict:
    """Join what tells a cell from others with what its overrides changed; a key that is in both is named once."""
    named = {word.partition("=")[0] for word in apart.split()}
    more = [word for word in changed if word.partition("=")[0] not in named]
    return {"variant": " ".join([*apart.split(), *more]), "changed": " ".join(changed), "overrides": overrides}


def _words_of_cells(rows: list[dict], settings: list[Setting]) -> dict[str, tuple[tuple[str, ...] | None, list[str]]]:
    """Map each cell to its overrides and to the words of what they change: of all its runs, the shortest account."""
    found: dict[str, list[tuple[tuple[str, ...] | None, list[str]]]] = {}
    for row, setting in zip(rows, settings, strict=True):
        kept = json.loads(setting.get("overrides", "null"))
        overrides = tuple(kept) if isinstance(kept, list) else None
        found.setdefault(row["cell"], []).append((overrides, _changed(overrides, setting, row["scale"])))
    return {
        cell: min(each, key=lambda one: (one[0] is None, len(one[1]), one[0] or ())) for cell, each in found.items()
    }


def _changed(overrides: Sequence[str] | None, setting: Setting, scale: str) -> list[str]:
    """Name what overrides set beyond a choice of groups, with the values that the config has in the end."""
    warned = [CHANCE] if near_chance(names_of(setting)) else []
    if overrides is None:
        return warned if scale == "mini" else [*warned, UNRECORDED]
    return [*warned, *changes(overrides, setting)]


def changes(overrides: Sequence[str], setting: Setting | None = None) -> list[str]:
    """Name what overrides set beyond a choice of groups; as the config has it where `setting` holds the key."""
    given = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
    preset = given.pop("experiment", "null").rpartition("/")[2]
    words = [f"{PRESET}={preset}"] if preset != "null" else []
    language = setting is not None and "data.classes" not in setting  # whose titles name no optimizer
    named = set(NAMED) - ({"optimizer"} if language else set())
    said = {key: value for key, value in given.items() if key not in named and not is_look(key)}
    return words + [_word(key, value, setting or {}) for key, value in said.items()]


def _word(key: str, given: str, setting: Setting) -> str:
    """Write `key=value` with the value of the config, or as given where the key holds no single value; no spaces."""
    return _override(key, setting) if key in setting else f"{key}={given}".replace(" ", "").replace("$", "")


def _kind_of_run(setting: Setting) -> dict:
    """Give the columns whose keys not every config has."""

    def value(key: str, default: object) -> Any:
        return json.loads(setting.get(key, json.dumps(default)))

    family, named = _family(setting), names_of(setting)
    shares = [value(f"algo.loop.{key}", 1.0) for key in ("step_fraction", "sample_fraction")]
    return {
        "source": data_source(named),
        "model": model_name(named),
        "data": data_name(named),
        "model_option": value("model.name", ""),
        "data_option": value("data.name", ""),
        "sampled": decoding(named, "probe"),
        "decoded": decoding(named, "evaluation"),
        "n_train": float(value("data.loader.n_train", None) or math.nan),
        "low_reward": value("data.low_reward", math.nan),
        "family": family,
        "wrong_reward": value("data.rewards.wrong_modified", -1.0) if family == "controlled" else math.nan,
        "init_from": value("init_from", None) or "",
        "sampling": _digest({key: text for key, text in setting.items() if SAMPLING.match(key)}),
        "partial": min(shares) < 1,
        "counts": next((unit for key, unit in COUNTED.items() if f"algo.loop.{key}" in setting), "step"),
    }


def _beginning(setting: Setting) -> dict[str, str]:
    """Give the heuristic of a run, or what stands for it: plain runs that begin after an SFT are no runs alone."""
    began = "algo=sft" in json.loads(setting.get("parent.overrides", "[]"))
    return {"heuristic": AFTER_SFT} if began and setting["heuristic.name"] == '"none"' else {}


def names_of(setting: Setting) -> dict[str, Any]:
    """Decode the keys that `rftlab.runs.naming` reads names from."""
    return {key: json.loads(text) for key, text in setting.items() if _NAMES.match(key)}


def _family(setting: Setting) -> str:
    """Say what a run is about, by what its config holds: a loss, a policy that draws text, classes, random weights."""
    if "model.classifier._target_" in setting:
        return "classifier"
    if setting.get("algo.loss") == "null":  # nothing is trained
        return "diagnose" if any(key.startswith("data.rollout.") for key in setting) else "theory"
    if "data.classes" in setting:
        return "controlled"
    return "pretraining" if setting.get("model.policy.init") == '"random"' else "language"


def _cell_setting(setting: Setting) -> Setting:
    """Keep what all seeds of a cell share; the start of a run counts only where the user named it."""
    has_parent = any(key.startswith("parent.") for key in setting)
    outside = ("seed", "loaded", "init_from") if has_parent else ("seed", "loaded")
    kept = {
        key: value
        for key, value in setting.items()
        if key.split(".")[0] not in outside and of_identity(key) and not follows(key, setting)
    }
    if kept.get("reward") == "null":
        del kept["reward"]  # which a run of before `reward` does not say
    return {key: _without_module(key, value) for key, value in kept.items()}


def _without_module(key: str, value: str) -> str:
    """Keep the last word of a `_target_` of the library, as run keys do: a file that moves makes no other cell."""
    return OURS.sub('"', value) if key.endswith("_target_") else value


def _digest(cell: Setting) -> str:
    """Name a cell by eight hex digits."""
    return hashlib.sha256(json.dumps(cell, sort_keys=True).encode()).hexdigest()[:8]


def _variants(rows: list[dict], cells: list[Setting]) -> dict[str, str]:
    """Map each cell to the overrides that tell it from the others of its kind; an empty string where it is alone."""
    kinds: dict[tuple, dict[str, Setting]] = {}
    for row, cell in zip(rows, cells, strict=True):
        shared = CONTROLLED_KIND if row["family"] == "controlled" else KIND
        kinds.setdefault(tuple(row[key] for key in shared), {})[row["cell"]] = cell
    return {digest: text for group in kinds.values() for digest, text in _apart(group).items()}


def _apart(group: dict[str, Setting]) -> dict[str, str]:
    """Describe each setting of a group by as few keys as tell all of them apart, the heuristic's own keys first."""
    keys = sorted(
        {key for cell in group.values() for key in cell}, key=lambda key: (not key.startswith("heuristic"), key)
    )
    chosen: list[str] = []
    for key in keys:
        if _classes(group, [*chosen, key]) > _classes(group, chosen):
            chosen.append(key)
    return {digest: " ".join(_override(key, cell) for key in chosen) for digest, cell in group.items()}


def _classes(group: dict[str, Setting], keys: list[str]) -> int:
    """Count the settings that differ in the given keys."""
    return len({tuple(cell.get(key) for key in keys) for cell in group.values()})


def _override(key: str, cell: Setting) -> str:
    """Write `key=value` as on the command line; no spaces."""
    return f"{key}={cell.get(key, 'null').strip(chr(34)).replace(' ', '')}"
