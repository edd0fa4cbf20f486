"""What the reward std of prompts foretells (Razin et al. 2024, sections 3 and 4.1).

Only runs that start from the pretrained model and train in full count here: no heuristic, no `init_from`, no SFT on a
share of its steps or prompts.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.statistics.frames import Frames
from analysis.statistics.stats import CELL, PANEL, STD_BELOW, TRAIN_REWARD, curves, finished, of_family, run_keys
from rftlab import intervals

PERCENTILES = (5, 10, 20, 30)  # of the pretrain std over the prompts of a dataset
PERCENTILE = 10  # of the figure; the paper does not say which one it uses
SHARE = "share_vanishing"
FEWEST = 10  # prompts from which the bootstrap of a correlation says something
RUN = ["sweep", "run_key"]


def from_pretrained(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of language runs that train the pretrained model in full.

    If these runs hold only one setting of an algorithm, `variant` says only what its overrides changed: there is
    nothing to tell it from.
    """
    plain = (frame["heuristic"] == "none") & (frame["init_from"] == "") & ~frame["partial"].astype(bool)
    kept = of_family(frame[plain], "language")
    alone = kept.groupby([*PANEL, "algo"])["cell"].transform("nunique") == 1
    return kept.assign(variant=kept["variant"].mask(alone, kept["changed"]))


def foretold_changes(frames: Frames) -> pd.DataFrame:
    """Correlate the pretrain std with the change of the reward: `correlation_table` of the runs of the frames.

    Beside each correlation stands its `null`: what it is for the untrained policy drawn twice.
    """
    prompts = from_pretrained(frames.prompts)
    return beside_null(correlation_table(changes(prompts)), prompts)


def rft_beside_sft(frames: Frames) -> pd.DataFrame:
    """Set RFT beside SFT: `relative_reward` of the runs of the frames."""
    return relative_reward(frames.runs, frames.prompts)


def beside_null(table: pd.DataFrame, prompts: pd.DataFrame) -> pd.DataFrame:
    """Add to a `correlation_table` what chance alone gives: the untrained policy, drawn again instead of trained.

    Adds null, null_low, null_high: the correlation of the pretrain std with |mean again - mean before| and its
    interval; n_null (runs that have one); crossing: the share of prompts whose std is on the other side of STD_BELOW in
    the second draw, averaged over the runs. NaN, and n_null 0, where no run drew twice.
    """
    pairs = changes(prompts, "again")
    null = correlation_table(pairs).rename(columns={"r": "null", "low": "null_low", "high": "null_high", "n": "n_null"})
    finite = pairs[np.isfinite(pairs["std"]) & np.isfinite(pairs["std_second"])]
    crosses = ((finite["std"] < STD_BELOW) != (finite["std_second"] < STD_BELOW)).astype(float)
    by_run = finite.assign(crossing=crosses).groupby([*CELL, *RUN])["crossing"].mean()
    null = null.merge(by_run.groupby(CELL).mean().reset_index(), on=CELL, how="left")
    joined = table.merge(null[[*CELL, "null", "null_low", "null_high", "n_null", "crossing"]], on=CELL, how="left")
    return joined.assign(n_null=joined["n_null"].fillna(0).astype(int))


def changes(prompts: pd.DataFrame, second: str = "after") -> pd.DataFrame:
    """Pair each prompt's pretrain std with how far its mean moved to a second look: one row per run and prompt.

    The looks have noise of their own, so that what moved by chance is in every change alike, whatever the training.
    Returns CELL, sweep, run_key, seed, prompt_id, std (before), std_second, change (|mean of the second look - mean
    before|).
    """
    before, after = (prompts[prompts["phase"] == phase] for phase in ("before", second))
    values = ["reward_mean", "reward_std"]
    joined = before.merge(after[[*RUN, "prompt_id", *values]], on=[*RUN, "prompt_id"], suffixes=("", "_after"))
    moved = (joined["reward_mean_after"] - joined["reward_mean"]).abs()
    kept = [*CELL, *RUN, "seed", "prompt_id"]
    return joined[kept].assign(std=joined["reward_std"], std_second=joined["reward_std_after"], change=moved)


def correlations(pairs: pd.DataFrame) -> pd.DataFrame:
    """Correlate std and change over the prompts of each run (Pearson).

    Returns CELL, sweep, run_key, seed, r, n_prompts, n_nonfinite (prompts without a finite value, left out), and
    `undefined`: why `r` is NaN, else an empty string.
    """
    records = []
    for _, run in pairs.groupby([*CELL, *RUN]):
        usable = np.isfinite(run["std"]) & np.isfinite(run["change"])
        std, change = run.loc[usable, "std"].to_numpy(), run.loc[usable, "change"].to_numpy()
        undefined = _why_undefined(std, change)
        values = {"r": float("nan") if undefined else float(np.corrcoef(std, change)[0, 1]), "undefined": undefined}
        counts = {"n_prompts": int(usable.sum()), "n_nonfinite": int((~usable).sum())}
        records.append(run[[*CELL, *RUN, "seed"]].iloc[0].to_dict() | values | counts)
    return pd.DataFrame(records, columns=[*CELL, *RUN, "seed", "r", "undefined", "n_prompts", "n_nonfinite"])


def _why_undefined(std: Float[np.ndarray, " k"], change: Float[np.ndarray, " k"]) -> str:
    """Say why two series have no correlation; an empty string where they have one."""
    if len(std) < 3:
        return "fewer than 3 prompts"
    if np.ptp(std) == 0:
        return "the std is the same for every prompt"
    return "the change is the same for every prompt" if np.ptp(change) == 0 else ""


def correlation_table(pairs: pd.DataFrame, seed: int = 0, draws: int = 1000) -> pd.DataFrame:
    """Average the correlations of a cell's runs, with a 95 % percentile bootstrap interval over prompts.

    A draw takes the same prompts in all runs of the cell, as these share them, and begins anew with `seed` in each
    cell: equal values have equal intervals. Returns CELL, r, low, high, r_min and r_max (over runs), n (runs that have
    a correlation), n_runs, n_prompts, n_nonfinite, undefined, run_keys.
    """
    by_run = correlations(pairs)
    records = []
    for _, runs in by_run.groupby(CELL):
        known = runs[runs["undefined"] == ""]
        of_known = pairs.merge(known[RUN], on=RUN)
        enough = len(known) and of_known["prompt_id"].nunique() >= FEWEST
        low, high = _interval(of_known, np.random.default_rng(seed), draws) if enough else (float("nan"), float("nan"))
        records.append(
            runs[CELL].iloc[0].to_dict()
            | {"r": known["r"].mean(), "low": low, "high": high, "r_min": known["r"].min(), "r_max": known["r"].max()}
            | {"n": len(known), "n_runs": len(runs), "n_prompts": int(runs["n_prompts"].max())}
            | {"n_nonfinite": int(runs["n_nonfinite"].sum()), "run_keys": " ".join(sorted(runs["run_key"].unique()))}
            | {"undefined": "; ".join(sorted(set(runs["undefined"]) - {""}))}
        )
    names = ["r", "low", "high", "r_min", "r_max", "n", "n_runs", "n_prompts", "n_nonfinite", "undefined", "run_keys"]
    return pd.DataFrame(records, columns=[*CELL, *names])


def _interval(pairs: pd.DataFrame, generator: np.random.Generator, draws: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean correlation of several runs when their prompts are drawn again."""
    std = pairs.pivot(index="prompt_id", columns=RUN, values="std").to_numpy()
    change = pairs.pivot(index="prompt_id", columns=RUN, values="change").to_numpy()
    times = generator.multinomial(len(std), np.full(len(std), 1 / len(std)), size=draws)
    means = weighted_correlations(std, change, times).mean(axis=1)
    return intervals.percentiles(means)  # a draw may hold one value only, and has no correlation then


def weighted_correlations(
    std: Float[np.ndarray, "prompts runs"], change: Float[np.ndarray, "prompts runs"], times: np.ndarray
) -> Float[np.ndarray, "draws runs"]:
    """Correlate std and change of each run with every prompt counted `times[draw]` times.

    Values that are not finite count in no draw. NaN where a draw leaves one of the two constant.
    """
    there = np.isfinite(std) & np.isfinite(change)
    x, y = (_centred(values, there) for values in (std, change))
    total = np.maximum(times @ there, 1)
    mean_x, mean_y = times @ x / total, times @ y / total
    var_x, var_y = times @ x**2 / total - mean_x**2, times @ y**2 / total - mean_y**2
    covariance = times @ (x * y) / total - mean_x * mean_y
    rounding = 1e-12
    varies = (var_x > rounding * (x**2).mean(axis=0)) & (var_y > rounding * (y**2).mean(axis=0))
    return np.where(varies, covariance / np.sqrt(np.where(varies, var_x * var_y, 1.0)), np.nan)


def _centred(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Subtract each column's mean; zero where there is no value."""
    kept = np.where(there, values, 0.0)
    return np.where(there, kept - kept.sum(axis=0) / np.maximum(there.sum(axis=0), 1), 0.0)


def relative_reward(
    runs: pd.DataFrame, prompts: pd.DataFrame, percentiles: tuple[int, ...] = PERCENTILES
) -> pd.DataFrame:
    """Set the train reward of RFT beside that of SFT, per dataset, model, RFT setting and SFT setting.

    Returns one row per point and percentile: PANEL, algo, variant, sft_variant, percentile, std (that percentile of the
    pretrain std over prompts, averaged over the runs that sample as RFT does), rft, rft_min, rft_max, n_rft, sft,
    n_sft, ratio, ratio_min, ratio_max (over RFT's seeds), difference, run_keys. A ratio to a reward of zero or less is
    NaN.
    """
    rewards = _final_rewards(from_pretrained(finished(runs)))
    sft = rewards[rewards["algo"] == "sft"].drop(columns=["algo", "min", "max", "sampling"])
    rft = rewards[rewards["algo"] != "sft"]
    joined = rft.merge(sft, on=PANEL, suffixes=("_rft", "_sft"))
    names = {"mean_rft": "rft", "min": "rft_min", "max": "rft_max", "mean_sft": "sft"}
    points = joined.rename(columns={"variant_rft": "variant", "variant_sft": "sft_variant"} | names)
    points["run_keys"] = points.pop("run_keys_rft") + " " + points.pop("run_keys_sft")
    base = points["sft"].where(points["sft"] > 0)
    points = points.assign(ratio=points["rft"] / base, difference=points["rft"] - points["sft"])
    points = points.assign(ratio_min=points["rft_min"] / base, ratio_max=points["rft_max"] / base)
    return points.merge(_percentiles(from_pretrained(prompts), percentiles), on=[*PANEL, "sampling"])


def _final_rewards(runs: pd.DataFrame) -> pd.DataFrame:
    """Average the final train reward over the seeds of each cell: one sampled response per prompt, in expectation."""
    values = runs.reindex(columns=[*PANEL, "algo", "variant", "cell", "sampling", "run_key", TRAIN_REWARD])
    values = values.rename(columns={TRAIN_REWARD: "value"}).astype({"value": "float64"})
    values = values[np.isfinite(values["value"])]
    by = [*PANEL, "algo", "variant", "cell", "sampling"]
    reduced = values.groupby(by)["value"].agg(["mean", "min", "max", "count"]).reset_index()
    return reduced.merge(run_keys(values, by), on=by).rename(columns={"count": "n"}).drop(columns="cell")


def _percentiles(prompts: pd.DataFrame, percentiles: tuple[int, ...]) -> pd.DataFrame:
    """Take percentiles of the pretrain std over the prompts of each run, averaged over the runs that sample alike.

    A std at another temperature, of another reward or of more samples is another quantity.
    """
    before = prompts[(prompts["phase"] == "before") & np.isfinite(prompts["reward_std"])]
    by = [*PANEL, "sampling"]
    parts = [
        before.groupby([*by, *RUN])["reward_std"]
        .quantile(percentile / 100)
        .groupby(by)
        .mean()
        .rename("std")
        .reset_index()
        .assign(percentile=percentile)
        for percentile in percentiles
    ]
    return pd.concat(parts, ignore_index=True)


def share_over_training(prompts: pd.DataFrame) -> pd.DataFrame:
    """Follow the share of prompts with a vanishing gradient through the runs that look at it during training.

    Every look counts the prompts that are looked at during training, the first of the probe set. Returns what
    `stats.curves` does, for the one metric SHARE, with n_prompts (of a run) beside.
    """
    looked_at = prompts.loc[prompts["phase"] == "during", [*RUN, "prompt_id"]].drop_duplicates()
    rows = prompts[~prompts["phase"].isin(["again", "curriculum"])].merge(looked_at, on=[*RUN, "prompt_id"])
    rows = rows[np.isfinite(rows["reward_std"])]
    rows = rows.assign(value=(rows["reward_std"] < STD_BELOW).astype(float), step=rows["step"].astype(int))
    look = rows.groupby([*CELL, *RUN, "step", "phase"])["value"].agg(value="mean", n_prompts="size").reset_index()
    once = look.drop_duplicates([*RUN, "step"], keep="first")  # `after` before `during`, of the same step
    sizes = once.groupby("cell")["n_prompts"].max()
    reduced = curves(once.assign(metric=SHARE), [SHARE])
    return reduced.assign(n_prompts=reduced["cell"].map(sizes))
