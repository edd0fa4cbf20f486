"""Where algorithms that learn fixed responses began and ended: a row per way of decoding and seed."""

import pandas as pd

from analysis.statistics import stats
from analysis.statistics.evaluations import KL, REWARD
from analysis.statistics.frames import Frames

FIXED_RESPONSES = ("offline_apa", "offline_awr", "ilql", "dpo")  # algorithms that learn from these
DECODED = {REWARD: "", f"{REWARD}_b1": "b = 1", f"{REWARD}_b4": "b = 4"}  # how, by the metric
METRICS = [*DECODED, KL]
START = "start"


def ends(frames: Frames) -> pd.DataFrame:
    """Take the first and last reward of each way of decoding, for every sweep that holds the run.

    Returns HELD, CELL, seed, run_key, init_from, began (with what, in words), decoded, start, end, kl (of the policy
    alone: NaN for the others).
    """
    rows = stats.of_family(frames.metrics, "language")
    rows = rows[rows["algo"].isin(FIXED_RESPONSES)]
    found = stats.start_and_end(rows, METRICS)
    kl = found.loc[found["metric"] == KL, ["sweep", "run_key", "end"]].rename(columns={"end": "kl"})
    rewards = found[found["metric"] != KL].merge(kl, on=["sweep", "run_key"], how="left")
    rewards["decoded"] = rewards["metric"].map(DECODED)
    rewards["kl"] = rewards["kl"].where(rewards["decoded"] == "")
    begun = frames.runs[["sweep", "run_key", "init_from"]].assign(began=_began(frames.runs))
    held = stats.in_every_sweep(rewards.merge(begun, on=["sweep", "run_key"]), frames.runs)
    finite = held[["start", "end"]].abs().lt(float("inf")).all(axis=1)  # NaN is not
    kept = [stats.HELD, *stats.CELL, "seed", "run_key", "init_from", "began", "decoded", "start", "end", "kl"]
    return held.loc[finite, kept].reset_index(drop=True)


def _began(runs: pd.DataFrame) -> list[str]:
    """Say what each run began with."""
    words = zip(runs["init_from"], [settings.get("parent.overrides", "") for settings in runs["settings"]], strict=True)
    return [
        "the model as it is" if not key else "after SFT" if "algo=sft" in asked else "a run" for key, asked in words
    ]


def starts(ends: pd.DataFrame) -> pd.DataFrame:
    """Give the reward of the policy that the runs of a seed began with, a row per seed: seed, reward, kl, run_keys.

    Its KL is 0 by definition. Empty where the runs of a seed began with different policies.
    """
    alone = ends[ends["decoded"] == ""]
    if (alone.groupby("seed")["init_from"].nunique() > 1).any():
        return pd.DataFrame(columns=["seed", "reward", "kl", "run_keys"])
    by_seed = alone.groupby("seed").agg(reward=("start", "mean"), run_keys=("run_key", lambda k: " ".join(sorted(k))))
    return by_seed.assign(kl=0.0).reset_index()
