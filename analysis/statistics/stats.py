"""What most statistics share: which rows belong together, and reductions over seeds, steps and prompts.

Every input frame carries the identity columns of `load` (one row is a value, a prompt or a run of one run).
A cell is all seeds of one setting. Only finished runs enter a statistic; `coverage` names those that do not.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rftlab import intervals

KIND = ["scale", "source"]  # what a figure or table of several datasets may not mix
PANEL = [*KIND, "data", "model"]  # what may never share an axis
CELL = [*PANEL, "algo", "optimizer", "heuristic", "variant", "cell"]
HELD = "held_by"  # a sweep that holds a run, its own or one that found it done
SWEEP_PANEL = [HELD, *PANEL]
PHASES = ("before", "after")  # of finetuning; `during` has a step, and `again` is a second look before it
TRAIN_REWARD = "probe/reward_mean"  # of sampled responses to train prompts, as Razin et al. 2024 take it
# Reward std under which a prompt's expected gradient counts as vanishing: our choice for rewards in [0, 1], as in
# conf/train.yaml; Razin et al. 2024 speak of a std near zero and give no number.
STD_BELOW = 0.05


def finished(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of runs that ended well."""
    return frame[frame["state"] == "done"]


def of_family(frame: pd.DataFrame, family: str) -> pd.DataFrame:
    """Keep the rows of runs of one family: language, controlled, theory, diagnose or pretraining."""
    return frame[frame["family"] == family]


def before_and_after(prompts: pd.DataFrame) -> pd.DataFrame:
    """Keep the prompts as they are before and after finetuning."""
    return prompts[prompts["phase"].isin(PHASES)]


def one_run_per_seed(runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split finished runs into one per cell and seed, and the repeats (same setting and seed in another sweep)."""
    ordered = finished(runs).sort_values([*CELL, "seed", "sweep", "run_key"])
    repeated = ordered.duplicated([*CELL, "seed"])
    return ordered[~repeated], ordered[repeated]


def of_runs(frame: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows that belong to the given runs; the same key may lie in two sweeps."""
    wanted = pd.MultiIndex.from_frame(runs[["sweep", "run_key"]])
    return frame[pd.MultiIndex.from_frame(frame[["sweep", "run_key"]]).isin(wanted)]


def in_every_sweep(frame: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Repeat the rows of each run for every sweep that holds it, which the column HELD names.

    A sweep that found a run done in another one holds it too; `runs` are those of `load.load_runs`.
    """
    held = runs[["sweep", "run_key"]].assign(**{HELD: runs["sweeps"]}).explode(HELD)
    return frame.merge(held, on=["sweep", "run_key"])


def under_every_sweep(runs: pd.DataFrame) -> pd.DataFrame:
    """Repeat each run for every sweep that holds it, as if it lay there."""
    held = in_every_sweep(runs, runs)
    return held.assign(sweep=held[HELD])


def of_panel(frame: pd.DataFrame, panel: tuple[str, ...]) -> pd.DataFrame:
    """Keep the rows of one scale, source, dataset and model."""
    return frame[(frame[PANEL] == list(panel)).all(axis=1)]


def parts(frame: pd.DataFrame, by: list[str]) -> list[pd.DataFrame]:
    """Split a frame by some columns, in their order; an empty frame has no parts."""
    return [part.reset_index(drop=True) for _, part in frame.groupby(by)] if len(frame) else []


def curves(frame: pd.DataFrame, metrics: Sequence[str], cell: Sequence[str] = CELL) -> pd.DataFrame:
    """Reduce tidy metrics over the seeds of each cell at each step; `cell` names the columns that tell cells apart.

    Returns these columns, metric, step, mean, low, high (95 % interval of the mean over seeds, Student's t; NaN with
    one seed), min, max, n, n_nonfinite, run_keys. NaN and infinity enter no mean and are counted in `n_nonfinite`; `n`
    counts the seeds that entered.
    """
    rows = frame[frame["metric"].isin(metrics)]
    rows = rows.assign(value=rows["value"].where(np.isfinite(rows["value"])))
    by_step = rows.groupby([*cell, "metric", "step"], sort=True)["value"]
    reduced = by_step.agg(["mean", "min", "max", "count", "size", half_width]).reset_index()
    reduced["n_nonfinite"] = reduced.pop("size") - reduced["count"]
    half = reduced.pop("half_width")
    reduced = reduced.assign(low=reduced["mean"] - half, high=reduced["mean"] + half).rename(columns={"count": "n"})
    return reduced.merge(run_keys(rows, [*cell, "metric"]), on=[*cell, "metric"], how="left")


def half_width(values: pd.Series) -> float:
    """Return half the width of the interval of a mean over those seeds whose value is finite."""
    return intervals.half_width(values.dropna().tolist())


def run_keys(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """List the distinct run keys of each group, sorted, in one string."""
    keys = rows[[*by, "run_key"]].drop_duplicates().sort_values("run_key")
    return keys.groupby(by)["run_key"].agg(" ".join).rename("run_keys").reset_index()


def start_and_end(frame: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Take the first and the last logged value of each metric of each run.

    Returns one row per run and metric: identity columns, metric, start_step, start, end_step, end. A non-finite value
    stays what it is: a run that diverged has no finite end.
    """
    rows = frame[frame["metric"].isin(metrics)].sort_values(["run_key", "metric", "step"])
    by_run = [*CELL, "sweep", "seed", "run_key", "metric"]
    first = rows.drop_duplicates(["run_key", "metric"], keep="first")[[*by_run, "step", "value"]]
    last = rows.drop_duplicates(["run_key", "metric"], keep="last")[["run_key", "metric", "step", "value"]]
    first = first.rename(columns={"step": "start_step", "value": "start"})
    last = last.rename(columns={"step": "end_step", "value": "end"})
    return first.merge(last, on=["run_key", "metric"]).reset_index(drop=True)


def over_seeds(ends: pd.DataFrame) -> pd.DataFrame:
    """Average `start_and_end` over the seeds of each cell.

    Returns CELL, metric, start, end, start_min, start_max, end_min, end_max, n (seeds), n_nonfinite (seeds whose start
    or end is NaN or infinite: these leave the averages).
    """
    bad = ~(np.isfinite(ends["start"]) & np.isfinite(ends["end"]))
    rows = ends.assign(bad=bad, start=ends["start"].mask(bad), end=ends["end"].mask(bad))
    return (
        rows.groupby([*CELL, "metric"])
        .agg(
            start=("start", "mean"),
            end=("end", "mean"),
            start_min=("start", "min"),
            start_max=("start", "max"),
            end_min=("end", "min"),
            end_max=("end", "max"),
            n=("run_key", "size"),
            n_nonfinite=("bad", "sum"),
        )
        .reset_index()
    )


def vanishing_share(prompts: pd.DataFrame, std_below: float = STD_BELOW) -> pd.DataFrame:
    """Give the share of prompts whose reward std is under a threshold, before and after finetuning.

    Returns CELL, phase, share (mean over prompts of the share of seeds), low, high (95 % interval over prompts; NaN
    where every train prompt was sampled, as no others could have been), share_low (also a mean under the data's
    `low_reward`; NaN where it has none), n_prompts, n (seeds), run_keys. Rows whose std is not finite count in
    neither share; `n_nonfinite` says how many there were.
    """
    prompts = before_and_after(prompts)
    usable = np.isfinite(prompts["reward_std"]) & np.isfinite(prompts["reward_mean"])
    vanishes = (prompts["reward_std"] < std_below).astype(float)
    is_low = (vanishes * (prompts["reward_mean"] < prompts["low_reward"])).where(prompts["low_reward"].notna())
    rows = prompts.assign(vanishes=vanishes.where(usable), is_low=is_low.where(usable), bad=~usable)
    by_cell = rows.groupby([*CELL, "phase"], sort=True)
    records = [group[[*CELL, "phase"]].iloc[0].to_dict() | _share(group) for _, group in by_cell]
    names = ["share", "low", "high", "share_low", "n_prompts", "n", "n_nonfinite", "run_keys"]
    return pd.DataFrame(records, columns=[*CELL, "phase", *names])


def _share(rows: pd.DataFrame) -> dict:
    """Describe the prompts of one cell and phase."""
    per_prompt = rows.groupby("prompt_id")[["vanishes", "is_low"]].mean()
    known = per_prompt["vanishes"].dropna()
    whole = len(per_prompt) >= rows["n_train"].iloc[0]  # false where that is NaN
    low, high = intervals.share(known.to_numpy()) if not whole else (float("nan"), float("nan"))
    return {
        "share": known.mean(),
        "low": low,
        "high": high,
        "share_low": per_prompt["is_low"].mean(),
        "n_prompts": len(per_prompt),
        "n": rows["run_key"].nunique(),
        "n_nonfinite": int(rows["bad"].sum()),
        "run_keys": " ".join(sorted(rows["run_key"].unique())),
    }
