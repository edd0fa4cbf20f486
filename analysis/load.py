"""Read run folders (or MLflow) into tidy frames, with one row per value, prompt, sample or run.

No other module of the analysis reads them. Every frame begins with the columns IDENTITY, among them:
- `cell`: a hash of the resolved config, without what differs between seeds, machines and sweeps. A cell is all seeds of
  one setting.
- `variant`: the words that set a cell apart from others of the same algorithm and heuristic, then those of `changed`.
- `changed`: what its overrides set beyond a choice of groups.
- `overrides`: the shortest list that a run of the cell kept; None where none kept any.
- `sampling`: equal for runs whose pretrained policy was measured in the same way.
- `model`, `data`, `source`: names of what was loaded (`rftlab.runs.naming`); `model_option` and `data_option` are the
  options that were chosen, for commands.
- `sampled`, `decoded`: how probes of train prompts, and evaluations, draw their responses, in words.
- `n_train`: how many train prompts the run asked for; NaN where it asked for all.
- `family`: what a run is about, language, controlled, theory, diagnose or pretraining.
- `partial`: whether it trained on a share of the steps or prompts.
- `init_from`: the run that it starts from.
- `counts`: what its steps count.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rftlab.errors import UserError
from rftlab.runs import RunRecord, find_comparisons, find_runs, find_searches, held_elsewhere, key_today, sweep_runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.entities import Run as MlflowRun
from analysis.settings import Setting, identify

IDENTITY = [
    *["run_key", "name", "sweep", "seed", "scale", "source", "model", "data"],
    *["algo", "optimizer", "heuristic", "variant", "cell", "low_reward", "state"],
    *["family", "wrong_reward", "init_from", "partial", "overrides", "changed", "sampling", "counts"],
    *["model_option", "data_option", "sampled", "decoded", "n_train"],
]
COMPARED = [
    *["comparison", "run_a", "run_b", "judge", "split", "prompts", "won", "tied", "lost", "left_out", "identical"],
    *["orders", "rate", "rate_low", "rate_high", "bias", "bias_low", "bias_high"],
]
SEARCHED = [
    *["sweep", "metric", "direction", "trial", "state", "value", "values", "params", "space", "keys"],
]
DIAGNOSE = "diagnose"  # the algorithm that trains nothing and looks once
LARGEST_DOUBLE = 1.797e308  # MLflow's SQL store hands infinity back as the largest double
MLFLOW_STATES = {
    "FINISHED": "done",
    "RUNNING": "running",
    "SCHEDULED": "running",
    "FAILED": "failed",
    "KILLED": "stopped",
}


def load_runs(outputs: Path, sweeps: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one row per run: identity, folder, hub_mirror ("" where none), cost/seconds, cost/peak_mib, final metrics.

    `settings` holds the flat config, from which is read what runs that stand side by side do not share; `sweeps` names
    every sweep (of those asked for) that holds the run, also those that found it done elsewhere.
    """
    shared = held_elsewhere(outputs)

    def rows(run: RunRecord) -> list[dict]:
        held = dict.fromkeys([run.sweep, *shared.get(run.folder, [])])
        return [
            row | {"sweeps": tuple(name for name in held if sweeps is None or name in sweeps)} for row in _run_rows(run)
        ]

    return _tidy(_records(outputs, sweeps), rows, ["folder", "hub_mirror", "settings", "sweeps"])


def load_metrics(
    outputs: Path, sweeps: Sequence[str] | None = None, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read one row per run, metric and step (columns step, metric, value): the last value logged for a step counts.

    `names` limits what is read to these metrics.
    """
    frame = _tidy(_records(outputs, sweeps), partial(_metric_rows, names), ["step", "metric", "value"])
    return frame.astype({"step": "int64", "value": "float64"})


def load_prompts(outputs: Path, sweeps: Sequence[str] | None = None, decoding: str = "common") -> pd.DataFrame:
    """Read one row per run, phase and prompt: reward_mean, reward_std (population, over n_samples).

    Phases are before, during and after training, and `again`, a second look before it; `step` counts iterations or
    supervised steps, 0 before the first. `decoding` is `common`, in which all runs on the data are looked at, or `own`,
    that of the run's rollouts where it is another one. Runs older than this distinction have one look, here `common`.
    A diagnosis has one look, whatever it is called.
    """
    columns = ["phase", "split", "prompt_id", "reward_mean", "reward_std", "n_samples", "step"]
    frame = _tidy(_records(outputs, sweeps), partial(_prompt_rows, decoding), columns)
    return frame.astype({"reward_mean": "float64", "reward_std": "float64", "step": "float64"})


def load_cases(outputs: Path, sweeps: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one row per measured case of the runs that have such a table, with the table's own columns."""
    return _tidy(_records(outputs, sweeps), lambda run: run.cases(), [])


def load_samples(outputs: Path, sweeps: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one row per logged response, in the order in which they were logged."""
    columns = ["phase", "step", "split", "prompt_id", "prompt", "response", "score"]
    return _tidy(_records(outputs, sweeps), RunRecord.samples, columns)


def load_comparisons(outputs: Path) -> pd.DataFrame:
    """Read one row per comparison of `src/judge.py` in which all is judged: what is compared, and its numbers.

    Columns: comparison (its key), run_a, run_b, judge, split, prompts (asked), won, tied, lost (prompts, from the side
    of run_a), left_out, identical, orders, and rate, bias with `_low` and `_high`; bias is NaN of a judge that sees no
    order.
    """
    rows = [
        {"comparison": found.folder.name, "run_a": found.report["run"], "run_b": found.report["other"]}
        | {"judge": _judge_in_words(found.about["judge"]), "split": found.about["split"]}
        | {name: found.report[name] for name in ("prompts", "won", "tied", "lost", "left_out", "identical", "orders")}
        | _estimate("rate", found.report["rate"])
        | _estimate("bias", found.report["bias"])
        for found in find_comparisons(outputs)
        if found.report is not None
    ]
    return pd.DataFrame(rows, columns=COMPARED)


def load_searches(outputs: Path, sweeps: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one row per trial of every search: its state, its value (NaN where it is not done) and that of each seed.

    `params` are its settings in words and `space` what each was chosen from, both by key; `keys` are its run keys.
    """
    rows = [
        {"sweep": search.sweep, "metric": search.metric, "direction": search.direction, "trial": trial.number}
        | {"state": trial.state, "value": math.nan if trial.value is None else trial.value}
        | {"values": tuple(trial.values.values()), "params": dict(trial.params), "space": dict(search.space)}
        | {"keys": tuple(trial.runs.values())}
        for search in find_searches(outputs)
        if sweeps is None or search.sweep in sweeps
        for trial in search.trials
    ]
    return pd.DataFrame(rows, columns=SEARCHED)


def _judge_in_words(judge: Mapping[str, Any]) -> str:
    """Name a judge: its kind, and the last word of which one of these it is."""
    kind = judge["_target_"].split(".")[-2]
    which = next(judge[name] for name in ("run", "source", "model") if judge.get(name))
    return f"{kind} {which.rstrip('/').rpartition('/')[2]}"


def _estimate(name: str, found: Mapping[str, Any]) -> dict[str, float]:
    """Lay an estimate out in columns; NaN where there was nothing to measure."""
    columns = {name: "value", f"{name}_low": "low", f"{name}_high": "high"}
    return {column: math.nan if found[key] is None else float(found[key]) for column, key in columns.items()}


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
    identities = identify([*map(_setting, runs)])
    keyed = [
        {"run_key": run.key, **identity, "state": run.state} for run, identity in zip(runs, identities, strict=True)
    ]
    who = pd.DataFrame(keyed, columns=IDENTITY).astype(
        dict.fromkeys(("low_reward", "wrong_reward", "n_train"), "float64")
    )
    tables = [rows(run) for run in runs]
    values = _joined(tables, columns)
    tables = [[] if table is None else table for table in tables]
    repeated = who.iloc[np.repeat(np.arange(len(tables)), [len(table) for table in tables])]
    frame = pd.concat([repeated.reset_index(drop=True), values], axis=1)
    return frame.reindex(columns=[*IDENTITY, *columns, *frame.columns.difference([*IDENTITY, *columns])])


def _joined(tables: Sequence[list[dict] | pd.DataFrame | None], columns: list[str]) -> pd.DataFrame:
    """Put the rows of all runs into one frame; thousands of small frames would take longer than all else."""
    lists = [table for table in tables if isinstance(table, list)]
    frames = [table for table in tables if isinstance(table, pd.DataFrame) and not table.empty]
    if any(lists):
        frames.append(pd.DataFrame([row for table in lists for row in table]))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _setting(run: RunRecord) -> Setting:
    """Flatten the config of a run; its folder says to which sweep it belongs."""
    flat = run.flat | {"name": run.name, "sweep.name": run.sweep}
    return {key: _json(value) if isinstance(value, str | int) else json.dumps(value) for key, value in flat.items()}


@lru_cache(65_536, typed=True)
def _json(value: str | int) -> str:
    return json.dumps(value)


def _run_rows(run: RunRecord) -> list[dict]:
    """Give the one row of a run."""
    mirror = run.config["paths"].get("hub_mirror") or ""
    known = {"folder": str(run.folder), "hub_mirror": mirror, "settings": _setting(run)}
    cost = {f"cost/{name}": value for name, value in run.cost.items()}
    return [{**known, **cost, **(run.final or {})}]


def _prompt_rows(decoding: str, run: RunRecord) -> pd.DataFrame | None:
    """Give the statistics of a run's prompts of one decoding."""
    prompts = run.prompts()
    if prompts is None or "decoding" not in prompts:
        return prompts
    if run.config["algo"]["name"] == DIAGNOSE:  # which looks once, as it is told to
        return prompts.drop(columns="decoding")
    return prompts[prompts["decoding"] == decoding].drop(columns="decoding")


def _metric_rows(names: Sequence[str] | None, run: RunRecord) -> pd.DataFrame:
    """Give the logged values of a run, of the named metrics or of all."""
    values = run.metrics(None if names is None else set(names))
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
    identities = identify([_mlflow_setting(run.data.params, run.data.tags) for run in runs])
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


def _mlflow_setting(params: Mapping[str, str], tags: Mapping[str, str]) -> Setting:
    """Turn the parameters of an MLflow run, all of them text, back into JSON values where they are."""
    loaded = {"loaded.architecture": json.dumps(tags["architecture"])} if "architecture" in tags else {}
    found = {"reward.synonyms_found": json.dumps(tags["synonyms"])} if "synonyms" in tags else {}
    return {key_today(key): _as_json(value) for key, value in params.items()} | loaded | found


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
