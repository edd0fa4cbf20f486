"""Run folders (or MLflow) to tidy frames, one row per value, prompt, sample or run; the only module that reads.

Every frame begins with the columns IDENTITY. A cell is all seeds of one setting: `cell` is a hash of the resolved
config without what differs between seeds, machines and sweeps. `variant` names in words what sets it apart from other
cells of the same algorithm and heuristic, and from what its choice of groups gives: the values in `changed`, as its
`overrides` set them (None where no run of the cell kept them). `sampling` is equal for runs whose pretrained policy was
measured in the same way. `family` is what the run is about: language, controlled, theory,
diagnose or pretraining; `partial` marks SFT on a share of its steps or prompts; `init_from` is the run it starts from.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rftlab.errors import UserError
from rftlab.runs import NOT_IDENTITY, RunRecord, find_runs, flatten, sweep_runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.entities import Run as MlflowRun

IDENTITY = [
    *["run_key", "name", "sweep", "seed", "scale", "source", "model", "data"],
    *["algo", "optimizer", "heuristic", "variant", "cell", "low_reward", "state"],
    *["family", "wrong_reward", "init_from", "partial", "overrides", "changed", "sampling"],
]
KIND = ["scale", "source", "model", "data", "algo", "heuristic"]  # cells that share these are told apart by `variant`
CONTROLLED_KIND = [*KIND, "optimizer", "wrong_reward"]  # figures of controlled experiments show one of each
THEORY = ("time_separation", "ppo_gradient", "gradient_bound")
FAMILIES = dict.fromkeys(THEORY, "theory") | {"diagnose": "diagnose"}  # by algorithm, whatever the data
NOT_SETTING = NOT_IDENTITY | {"seed"}
# overrides that need no words: the groups and what stands in titles anyway, and when and how a run is looked at
NAMED = ("model", "data", "algo", "optimizer", "heuristic", "scale", "data.source", "data.rewards.wrong_modified")
LOOKS = tuple(f"eval.{key}" for key in ("every", "probe_every", "probe_prompts_during", "batch_size", "n_logged"))
PRESET = "preset"  # the word for `experiment=...`, which sets values
UNRECORDED = "changes=unrecorded"  # of a run that kept no overrides, at a scale that promises published values
SAMPLING = re.compile(r"data\.|model\.|eval\.probe_(samples|prompts)$")  # what the pretrain statistics depend on
LARGEST_DOUBLE = 1.797e308  # MLflow's SQL store hands infinity back as the largest double

_WHERE = {
    **{"name": "name", "sweep": "sweep.name", "seed": "seed", "scale": "scale"},
    **{group: f"{group}.name" for group in ("model", "data", "algo", "optimizer", "heuristic")},
}

MLFLOW_STATES = {
    "FINISHED": "done",
    "RUNNING": "running",
    "SCHEDULED": "running",
    "FAILED": "failed",
    "KILLED": "stopped",
}

Setting = dict[str, str]  # flat config: dotted key -> value as JSON


def load_runs(outputs: Path, sweeps: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one row per run: identity, folder, hub_mirror ("" where none) and a column per final metric (else NaN)."""
    return _tidy(_records(outputs, sweeps), _run_rows, ["folder", "hub_mirror"])


def load_metrics(
    outputs: Path, sweeps: Sequence[str] | None = None, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read one row per run, metric and step (columns step, metric, value): the last value logged for a step counts.

    `names` limits what is read to these metrics.
    """
    frame = _tidy(_records(outputs, sweeps), partial(_metric_rows, names), ["step", "metric", "value"])
    return frame.astype({"step": "int64", "value": "float64"})


def load_prompts(outputs: Path, sweeps: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one row per run, phase and prompt: reward_mean, reward_std (population, over n_samples).

    Phases are before, during and after training; `step` counts iterations or supervised steps, 0 before the first.
    """
    columns = ["phase", "split", "prompt_id", "reward_mean", "reward_std", "n_samples", "step"]
    frame = _tidy(_records(outputs, sweeps), lambda run: run.prompts(), columns)
    return frame.astype({"reward_mean": "float64", "reward_std": "float64", "step": "float64"})


def load_cases(outputs: Path, sweeps: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one row per measured case of the runs that have such a table, with the table's own columns."""
    return _tidy(_records(outputs, sweeps), lambda run: run.cases(), [])


def load_samples(outputs: Path, sweeps: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one row per logged response, in the order in which they were logged."""
    columns = ["phase", "step", "split", "prompt_id", "prompt", "response", "score"]
    return _tidy(_records(outputs, sweeps), RunRecord.samples, columns)


def _records(outputs: Path, sweeps: Sequence[str] | None) -> list[RunRecord]:
    """Find the runs of the named sweeps, or all of them."""
    if not outputs.is_dir():
        raise UserError(f"no folder {outputs}", "the folder that holds the sweeps", "--outputs, or run a sweep first")
    there = sorted(folder.name for folder in outputs.iterdir() if folder.is_dir() and folder.name[0] != ".")
    for sweep in sweeps or []:
        if sweep not in there:
            raise UserError(f"no sweep {sweep} in {outputs}", f"one of: {', '.join(there) or 'none yet'}", "--sweep")
    if sweeps is None:
        return find_runs(outputs)
    found = {run.folder: run for sweep in sweeps for run in sweep_runs(outputs, sweep)}
    return list(found.values())


def _tidy(
    runs: list[RunRecord], rows: Callable[[RunRecord], list[dict] | pd.DataFrame | None], columns: list[str]
) -> pd.DataFrame:
    """Join the rows of each run with its identity."""
    identities = identify([_setting(run) for run in runs])
    keyed = [
        {"run_key": run.key, **identity, "state": run.state} for run, identity in zip(runs, identities, strict=True)
    ]
    who = pd.DataFrame(keyed, columns=IDENTITY).astype({"low_reward": "float64", "wrong_reward": "float64"})
    tables = [pd.DataFrame(rows(run)) for run in runs]
    there = [table for table in tables if not table.empty]
    values = pd.concat(there, ignore_index=True) if there else pd.DataFrame(columns=columns)
    repeated = who.iloc[np.repeat(np.arange(len(tables)), [len(table) for table in tables])]
    frame = pd.concat([repeated.reset_index(drop=True), values], axis=1)
    return frame.reindex(columns=[*IDENTITY, *columns, *frame.columns.difference([*IDENTITY, *columns])])


def identify(settings: list[Setting]) -> list[dict]:
    """Give the identity columns of runs, but for key and state, from their flat configs."""
    cells = [_cell_setting(setting) for setting in settings]
    rows = [
        {column: json.loads(setting[key]) for column, key in _WHERE.items()}
        | _kind_of_run(setting)
        | {"cell": _digest(cell)}
        for setting, cell in zip(settings, cells, strict=True)
    ]
    apart = _variants(rows, cells)
    words = _words_of_cells(rows, settings)
    return [row | _described(apart[row["cell"]], *words[row["cell"]]) for row in rows]


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
    if overrides is None:
        return [] if scale == "mini" else [UNRECORDED]
    return changes(overrides, setting)


def changes(overrides: Sequence[str], setting: Setting | None = None) -> list[str]:
    """Name what overrides set beyond a choice of groups; as the config has it where `setting` holds the key."""
    given = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
    preset = given.pop("experiment", "null").rpartition("/")[2]
    words = [f"{PRESET}={preset}"] if preset != "null" else []
    language = setting is not None and "data.classes" not in setting  # whose titles name no optimizer
    named = {*NAMED, *LOOKS} - ({"optimizer"} if language else set())
    return words + [_word(key, value, setting or {}) for key, value in given.items() if key not in named]


def _word(key: str, given: str, setting: Setting) -> str:
    """Write `key=value` with the value of the config, or as given where the key holds no single value; no spaces."""
    return _override(key, setting) if key in setting else f"{key}={given}".replace(" ", "").replace("$", "")


def _kind_of_run(setting: Setting) -> dict:
    """Give the columns whose keys not every config has."""

    def value(key: str, default: object) -> Any:
        return json.loads(setting.get(key, json.dumps(default)))

    algo = value("algo.name", "")
    plain = "controlled" if "data.classes" in setting else "pretraining" if algo == "pretrain" else "language"
    family = FAMILIES.get(algo, plain)
    shares = [value(f"algo.loop.{key}", 1.0) for key in ("step_fraction", "sample_fraction")]
    return {
        "source": value("data.source", "generated"),
        "low_reward": value("data.low_reward", math.nan),
        "family": family,
        "wrong_reward": value("data.rewards.wrong_modified", -1.0) if family == "controlled" else math.nan,
        "init_from": value("init_from", None) or "",
        "sampling": _digest({key: text for key, text in setting.items() if SAMPLING.match(key)}),
        "partial": algo == "sft" and min(shares) < 1,
    }


def _setting(run: RunRecord) -> Setting:
    """Flatten the config of a run; its folder says to which sweep it belongs."""
    flat = flatten(run.config) | {"name": run.name, "sweep.name": run.sweep}
    return {key: json.dumps(value) for key, value in flat.items()}


def _cell_setting(setting: Setting) -> Setting:
    """Keep what all seeds of a cell share; the start of a run counts only where the user named it."""
    has_parent = any(key.startswith("parent.") for key in setting)
    outside = (*NOT_SETTING, "init_from") if has_parent else NOT_SETTING
    return {key: value for key, value in setting.items() if key.split(".")[0] not in outside}


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


def _run_rows(run: RunRecord) -> list[dict]:
    """Give the one row of a run."""
    mirror = run.config["paths"].get("hub_mirror") or ""
    return [{"folder": str(run.folder), "hub_mirror": mirror, **(run.final or {})}]


def _metric_rows(names: Sequence[str] | None, run: RunRecord) -> pd.DataFrame:
    """Give the logged values of a run, of the named metrics or of all."""
    wanted = None if names is None else set(names)
    values = [row for row in run.metrics() if wanted is None or row[1] in wanted]
    return pd.DataFrame(values, columns=["step", "metric", "value"])


def load_metrics_mlflow(uri: str, experiment: str) -> pd.DataFrame:
    """Read the runs of one MLflow experiment into the columns of `load_metrics`.

    MLflow keeps every value of a step that was logged twice, and turns infinity into the largest double: here the last
    value counts, and infinity is infinity again. Infinite values that the mirror keeps as tags are absent here.
    """
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise UserError(f"no experiment {experiment} at {uri}", "the name of a sweep", "the experiment's name")
    runs = [run for run in _all_runs(client, found.experiment_id) if "run_key" in run.data.tags]
    identities = identify([_mlflow_setting(run.data.params) for run in runs])
    records = []
    for run, identity in zip(runs, identities, strict=True):
        state = MLFLOW_STATES.get(run.info.status, "lost")
        common = {"run_key": run.data.tags["run_key"], **identity, "state": state}
        for metric in sorted(run.data.metrics):
            values = _last_per_step(client.get_metric_history(run.info.run_id, metric))
            records += [common | {"step": step, "metric": metric, "value": value} for step, value in values.items()]
    return pd.DataFrame(records, columns=[*IDENTITY, "step", "metric", "value"])


def _all_runs(client: "MlflowClient", experiment_id: str) -> Iterator["MlflowRun"]:
    """Yield every run of an experiment, page by page."""
    page = client.search_runs([experiment_id])
    yield from page
    while page.token:
        page = client.search_runs([experiment_id], page_token=page.token)
        yield from page


def _mlflow_setting(params: Mapping[str, str]) -> Setting:
    """Turn the parameters of an MLflow run, all of them text, back into JSON values where they are."""
    return {key: _as_json(value) for key, value in params.items()}


def _as_json(text: str) -> str:
    """Return text that is JSON as it is, Python's None and booleans as JSON's, and any other text as a JSON string."""
    words = {"None": "null", "True": "true", "False": "false"}
    try:
        return json.dumps(json.loads(words.get(text, text)))
    except json.JSONDecodeError:
        return json.dumps(text)


def _last_per_step(history: Iterable["Metric"]) -> dict[int, float]:
    """Keep the value that was logged last for each step."""
    ordered = sorted(history, key=lambda metric: (metric.step, metric.timestamp))
    return {metric.step: _restored(metric.value) for metric in ordered}


def _restored(value: float) -> float:
    """Undo what MLflow's store does to infinity."""
    return math.copysign(math.inf, value) if abs(value) >= LARGEST_DOUBLE else value
