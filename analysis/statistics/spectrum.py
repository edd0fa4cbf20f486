"""How many prompts of each dataset have a vanishing gradient before any training: what diagnoses found."""

import json
import re

import numpy as np
import pandas as pd

from analysis.statistics.frames import Frames
from analysis.statistics.stats import PANEL, finished, of_family, vanishing_share
from rftlab.runs.naming import decoding

COLUMNS = [
    *PANEL, "variant", "sweep", "run_keys", "reward", "responses", "n_prompts", "n_samples", "whole",
    "reward_mean", "median_std", "std_below", "share", "low", "high", "share_low", "n_nonfinite",
]  # fmt: skip


def spectrum(frames: Frames) -> pd.DataFrame:
    """Describe each finished diagnosis in a row.

    Returns PANEL, variant, sweep, run_keys (one), reward (its name), responses (how they were drawn),
    n_prompts, n_samples, whole (every train prompt was sampled), reward_mean (over prompts), median_std (within
    prompts), std_below (the threshold of the run, in units of its reward), share (of prompts below it), low, high (its
    95 % interval over prompts; NaN where `whole`), share_low (of those below, with a mean under the data's
    `low_reward`; NaN where there is none), n_nonfinite (prompts left out).
    """
    runs = of_family(finished(frames.runs), "diagnose")
    found = [_described(run, frames.prompts) for run in runs.to_dict("records")]
    return pd.DataFrame([row for row in found if row is not None], columns=COLUMNS)


def _described(run: dict, prompts: pd.DataFrame) -> dict | None:
    """Describe one run; None where it has no prompt with finite scores."""
    own = prompts[(prompts["sweep"] == run["sweep"]) & (prompts["run_key"] == run["run_key"])]
    own = own[own["phase"] == "before"]
    finite = own[_finite(own)]
    if finite.empty:
        return None
    flat = {key: json.loads(text) for key, text in run["settings"].items()}
    there = own.assign(n_train=run["preflight/n_train"])  # how many there are, not how many were asked for
    (share,) = vanishing_share(there, threshold(flat)).to_dict("records")
    return {
        **{name: run[name] for name in [*PANEL, "variant", "sweep"]},
        "run_keys": run["run_key"],
        "reward": reward_name(flat),
        "responses": _drawn(flat),
        "n_prompts": share["n_prompts"] - share["n_nonfinite"],
        "n_samples": int(own["n_samples"].max()),
        "whole": pd.isna(share["low"]),
        "reward_mean": finite["reward_mean"].mean(),
        "median_std": finite["reward_std"].median(),
        "std_below": threshold(flat),
        "share": share["share"],
        "low": share["low"],
        "high": share["high"],
        "share_low": share["share_low"] / share["share"] if share["share"] else float("nan"),
        "n_nonfinite": share["n_nonfinite"],
    }


def _finite(prompts: pd.DataFrame) -> pd.Series:
    return np.isfinite(prompts["reward_std"]) & np.isfinite(prompts["reward_mean"])


def _drawn(flat: dict) -> str:
    """Say how long responses may be, and how they are drawn."""
    words = decoding(flat, "rollout").split(", ")[1:]  # without `sampled`
    plain = [] if words and words[0].startswith("T=") else ["T=1"]
    return ", ".join([f"at most {flat['data.rollout.max_new_tokens']} tokens", *plain, *words])


def threshold(flat: dict) -> float:
    """Give the std below which the gradients of a diagnosis count as vanishing, in units of its reward."""
    low, high = flat.get("algo.loop.reward_low"), flat.get("algo.loop.reward_high")
    return float(flat["eval.std_below"]) * (1.0 if low is None or high is None else high - low)


def reward_name(flat: dict) -> str:
    """Name a reward as its option: after its class, or the module that loads it; one of the user's own as it stands."""
    target = str(flat.get("reward._target_", ""))
    if not target.startswith("rftlab."):
        return target.rpartition("/")[2]
    module, word = target.split(".")[-2:]
    return module if word == "load" else re.sub(r"(?<!^)(?=[A-Z])", "_", word).lower()


def of_diagnoses(prompts: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Keep the prompts of the runs in `rows`, of finite std, each with the reward of its run.

    Returns PANEL, reward, run_key, prompt_id, reward_mean, reward_std.
    """
    named = rows[["sweep", "run_keys", "reward"]].rename(columns={"run_keys": "run_key"})
    before = prompts[(prompts["phase"] == "before") & _finite(prompts)]
    columns = [*PANEL, "sweep", "run_key", "prompt_id", "reward_mean", "reward_std"]
    return before[columns].merge(named, on=["sweep", "run_key"])
