"""The folder of a diagnosis as data: the setting, the prompts, their samples and the measured cases."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.preflight.overrides import overrides, recorded
from rftlab.errors import UserError
from rftlab.runs import RunRecord, naming, read_run

PHASE, SPLIT = "before", "train"
ALGO = "diagnose"
BOUNDS = ("bound_std", "bound_two_thirds")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What was diagnosed, and how."""

    data: str  # names of what was loaded (`rftlab.runs.naming`)
    source: str
    model: str
    data_option: str  # the options that were chosen, for commands
    model_option: str
    start: str  # in words, the weights that were sampled from
    near_chance: bool  # real rows, rewarded by the embedded classifier
    scale: str
    heuristic: str
    heuristic_keys: tuple[str, ...]  # its values, as on the command line
    init_from: str | None  # run key of the finetuned policy; None: the weights that the model came with
    run_key: str
    hub_mirror: str
    n_train: int  # prompts of the train split
    n_samples: int  # per prompt
    decoding: str  # in words
    max_new_tokens: int
    reward_range: (
        tuple[float, float] | None
    )  # the interval of the reward that the diagnosis was told; None: there is none
    std_below: float  # a reward std below this counts as vanishing, in units of the reward
    low_reward: float  # a mean reward below this is low; NaN where the data names none
    has_targets: bool
    samples_per_s: float
    n_prompts_asked: int  # `n_prompts` of the diagnosis, which may be more than there are
    bound_samples: int  # responses of a prompt whose gradient is measured
    again: tuple[str, ...]  # what another diagnosis must be told to do as this one did
    trained: tuple[str, ...]  # and what a run that trains must be told
    recorded: bool  # the overrides are those that the run kept, so that none is missing


@dataclass(frozen=True)
class Sampled:
    """What was sampled for one prompt."""

    prompt: str
    responses: list[str]
    scores: Float[np.ndarray, " g"]


@dataclass(frozen=True)
class Measured:
    """A diagnosis."""

    setting: Setting
    prompts: pd.DataFrame  # prompt_id, reward_mean, reward_std, n_samples: those whose statistics are finite
    n_nonfinite: int  # prompts left out: a score was NaN or infinite
    sampled: dict[str, Sampled]  # by prompt, in the order of `prompts`; prompts whose samples are incomplete are absent
    cases: pd.DataFrame | None  # gradients measured on a few prompts


def read(folder: Path) -> Measured:
    """Read the folder of a finished diagnosis.

    Raises:
        UserError: there is no finished diagnosis there, or nothing in it can be counted.
    """
    if not (folder / "config.yaml").is_file():
        raise UserError(f"no run in {folder}", "the folder of a run, with its config.yaml", "the folder")
    record = read_run(folder)
    _refuse_others(record)
    try:
        return _measured(record)
    except KeyError as error:
        raise UserError(
            f"run {record.key} has no {error.args[0]}", "what a diagnosis writes", "the folder, or run it again"
        ) from error


def _refuse_others(record: RunRecord) -> None:
    """Refuse runs of another kind and runs that are not finished."""
    algo = record.config.get("algo", {}).get("name")
    if algo != ALGO:
        raise UserError(f"run {record.key} is of algorithm {algo}", f"one of {ALGO}", "the folder")
    if not record.done:
        raise UserError(
            f"diagnosis {record.key} is {record.state}", "a finished one", "nothing; run the same command again"
        )


def _measured(record: RunRecord) -> Measured:
    """Put the files of a run together."""
    prompts = record.prompts()
    if prompts is None:
        raise UserError(
            f"run {record.key} has no prompts.parquet",
            "reward statistics of its prompts",
            "the folder, or run it again",
        )
    prompts = prompts[(prompts["phase"] == PHASE) & (prompts["split"] == SPLIT)]
    columns = ["prompt_id", "reward_mean", "reward_std", "n_samples"]
    prompts = prompts.assign(prompt_id=prompts["prompt_id"].astype(str))[columns]
    finite = np.isfinite(prompts["reward_mean"]) & np.isfinite(prompts["reward_std"])
    kept = prompts[finite].reset_index(drop=True)
    if kept.empty:
        raise UserError(
            f"{len(prompts)} prompts of run {record.key}, none with finite scores", "at least one", "the reward"
        )
    setting = _setting(record, int(kept["n_samples"].max()))
    return Measured(setting, kept, int((~finite).sum()), _sampled(record.samples(), kept), _cases(record))


def _setting(record: RunRecord, n_samples: int) -> Setting:
    """Pick what the report needs of config and final metrics."""
    config, flat, final = record.config, record.flat, record.final or {}
    data, low, loop = config["data"], config["data"].get("low_reward"), config["algo"]["loop"]
    reward_range = None if loop["reward_low"] is None else (float(loop["reward_low"]), float(loop["reward_high"]))
    width = 1.0 if reward_range is None else reward_range[1] - reward_range[0]
    return Setting(
        data=naming.data_name(flat),
        source=naming.data_source(flat),
        model=naming.model_name(flat),
        data_option=data["name"],
        model_option=config["model"]["name"],
        start=naming.start_in_words(flat),
        near_chance=naming.near_chance(flat),
        scale=config["scale"],
        heuristic=config["heuristic"]["name"],
        heuristic_keys=tuple(
            f"heuristic.{key}={value}" for key, value in config["heuristic"].items() if key not in ("name", "_target_")
        ),
        init_from=config.get("init_from"),
        run_key=record.key,
        hub_mirror=config.get("paths", {}).get("hub_mirror") or "",
        n_train=int(final["preflight/n_train"]),
        n_samples=n_samples,
        decoding=_decoding(flat, data["rollout"]),
        max_new_tokens=int(data["rollout"]["max_new_tokens"]),
        reward_range=reward_range,
        std_below=float(config["eval"]["std_below"]) * width,
        low_reward=math.nan if low is None else float(low),
        has_targets=final["preflight/has_targets"] == 1.0,
        samples_per_s=float(final.get("preflight/samples_per_s", math.nan)),
        n_prompts_asked=int(loop["n_prompts"]),
        bound_samples=int(loop["bound_samples"]),
        again=overrides(config, same_algo=True),
        trained=overrides(config, same_algo=False),
        recorded=recorded(config),
    )


def _decoding(flat: Mapping[str, Any], rollout: Mapping[str, Any]) -> str:
    """Describe how responses were drawn."""
    plain = "temperature 1, the whole vocabulary"
    drawn = naming.decoding(flat, "rollout")
    least, most = rollout.get("min_new_tokens") or 0, rollout["max_new_tokens"]
    length = f"{least} to {most}" if least else f"at most {most}"
    return f"{drawn if drawn != 'sampled' else f'sampled, {plain}'}, {length} new tokens"


def _sampled(rows: list[dict[str, Any]], prompts: pd.DataFrame) -> dict[str, Sampled]:
    """Group samples by prompt; of a prompt that was sampled again after a resume, the last samples count."""
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["phase"] == PHASE and row["split"] == SPLIT:
            by_prompt.setdefault(str(row["prompt_id"]), []).append(row)
    sampled = {}
    for prompt_id, n in zip(prompts["prompt_id"], prompts["n_samples"], strict=True):
        last = by_prompt.get(prompt_id, [])[-int(n) :]
        scores = np.array([float(row["score"]) for row in last])
        if len(last) == n and np.isfinite(scores).all():
            sampled[prompt_id] = Sampled(last[0]["prompt"], [row["response"] for row in last], scores)
    return sampled


def _cases(record: RunRecord) -> pd.DataFrame | None:
    """Return the measured gradients, or None where there are none."""
    cases = record.cases()
    if cases is None or cases.empty:
        return None
    moments = ["input_id", "reward_mean", "reward_std"]
    norms = ["grad_norm", "grad_error", "grad_norm_squared", "jacobian_norm"]
    return cases[[*moments, *norms, *BOUNDS]].reset_index(drop=True)
