"""Statistics of the controlled experiments (Razin et al. 2024, section 4.2).

Pretraining never gave the label of a tenth of the inputs, so that their reward std is small at the start of finetuning.
The metrics of these inputs lie under `small_std/`, those of the others under `large_std/`.
"""

import pandas as pd

from analysis.statistics.stats import CELL, PANEL, curves, over_seeds, run_keys, start_and_end

GROUPS = ("small_std", "large_std")
QUANTITIES = ("reward", "reward_std", "grad_norm")
CURVES = [f"{group}/{quantity}" for group in GROUPS for quantity in QUANTITIES]
# each is measured on one network; CURVES are measured on minibatches while an epoch goes on
ENDS = [
    *(f"eval/{group}/{quantity}" for group in GROUPS for quantity in ("reward", "reward_std")),
    *(f"{group}/grad_norm" for group in GROUPS),
    *("eval/train/accuracy", "eval/test/accuracy"),
]
NAMES = {"expected_reinforce": "RFT, expected reward", "reinforce": "RFT, sampled (REINFORCE)"}  # in these figures
SETTING = [*PANEL, "optimizer", "wrong_reward"]  # what one figure shows


def finetuning(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of controlled runs that finetune: they start from a pretrained run."""
    return frame[(frame["family"] == "controlled") & (frame["init_from"] != "")]


def reward_variant(wrong_reward: float) -> str:
    """Name the rewards by what a wrong label of the modified inputs earns."""
    return {-1.0: "default_rewards", 0.5: "high_initial_reward"}.get(wrong_reward, f"wrong_reward_{wrong_reward:g}")


def group_curves(metrics: pd.DataFrame) -> pd.DataFrame:
    """Reduce the group metrics over seeds at each epoch.

    Returns what `stats.curves` does, with wrong_reward, group and quantity (of `metric`) beside.
    """
    rows = finetuning(metrics)
    reduced = curves(rows, CURVES)
    names = reduced["metric"].str.split("/", n=1, expand=True).reindex(columns=[0, 1])
    reduced = reduced.assign(group=names[0], quantity=names[1])
    return reduced.merge(rows[["cell", "wrong_reward"]].drop_duplicates(), on="cell", how="left")


def of_setting(frame: pd.DataFrame, setting: tuple) -> pd.DataFrame:
    """Keep the rows of one scale, source, dataset, model, optimizer and rewards."""
    return frame[(frame[SETTING] == list(setting)).all(axis=1)]


def final_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Say where each cell of the controlled runs began and ended: one row per cell.

    Returns CELL, wrong_reward, and per metric of ENDS `{metric}/start`, `/end`, `/end_min` and `/end_max` (over
    seeds; NaN where never logged), then n (seeds), n_nonfinite (values of seeds that left an average) and run_keys.
    """
    rows = finetuning(metrics)
    ends = over_seeds(start_and_end(rows, ENDS))
    values = ["start", "end", "end_min", "end_max"]
    wide = ends.pivot(index=CELL, columns="metric", values=values)
    wide.columns = [f"{metric}/{value}" for value, metric in wide.columns]
    wide = wide.reindex(columns=[f"{metric}/{value}" for metric in ENDS for value in values]).astype(float)
    counts = rows.groupby(CELL).agg(wrong_reward=("wrong_reward", "first"), n=("run_key", "nunique"))
    bad = ends.groupby(CELL)["n_nonfinite"].sum()
    return wide.join(counts).join(bad).reset_index().merge(run_keys(rows, CELL), on=CELL)
