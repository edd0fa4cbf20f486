"""Gold reward beside the reward that was optimised, the proxy: gains since the start, and what came after the best."""

import numpy as np
import pandas as pd

from analysis.statistics import evaluations, stats
from analysis.statistics.efficiency import IN_PANEL
from analysis.statistics.evaluations import KL, REWARD
from analysis.statistics.frames import Frames
from rftlab import intervals

GOLD = "eval/test/gold"
CHOOSES = "eval/validation/gold"  # the best evaluation: on other prompts than those whose fall is then reported
METRICS = [REWARD, GOLD, CHOOSES, KL]
WHICH = ("proxy", "gold")
CHANGES = [f"{which}_{part}" for part in ("gain", "after") for which in WHICH]
OVER, KEEPS, OPEN = "over-optimised", "gold does not fall", "undecided"


def gains(frames: Frames) -> pd.DataFrame:
    """Give what each run gained since its start at each evaluation, for every sweep that holds it.

    Returns IN_PANEL, CELL, seed, run_key, step, kl (0 at the start by definition; estimates below 0 count as 0; NaN of
    runs that told none after it), distance (its root: d of Gao et al. 2023), proxy, gold (test prompts), chooses (gold
    of validation prompts, itself and no gain). Runs without gold, or without an evaluation of their start, have no
    rows.
    """
    rows = evaluations.of_sweeps(frames, METRICS)
    by = [*dict.fromkeys([*IN_PANEL, *stats.CELL, "seed", "sweep", "run_key", "step"])]
    wide = rows.pivot(index=by, columns="metric", values="value").reindex(columns=METRICS).reset_index()
    wide = wide.dropna(subset=[REWARD, GOLD])
    start = wide[wide["step"] == 0][[stats.HELD, "run_key", REWARD, GOLD]]
    wide = wide.merge(start, on=[stats.HELD, "run_key"], suffixes=("", "_start"))
    later = wide[KL].where(wide["step"] > 0)
    told = later.groupby([wide[stats.HELD], wide["run_key"]]).transform("count") > 0
    kl = wide[KL].mask(wide["step"] == 0, 0.0).where(told).clip(lower=0.0)
    found = wide[by].assign(
        kl=kl,
        distance=np.sqrt(kl),
        proxy=wide[REWARD] - wide[f"{REWARD}_start"],
        gold=wide[GOLD] - wide[f"{GOLD}_start"],
        chooses=wide[CHOOSES],
    )
    return found.sort_values([stats.HELD, "cell", "seed", "step"], ignore_index=True)


def with_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows of `gains` that told a KL the means of their cell over the seeds at each step.

    Returns the rows with distance_mean, proxy_mean, gold_mean, n.
    """
    told = rows[np.isfinite(rows["distance"])]
    at = told.groupby([stats.HELD, "cell", "step"])
    means = {f"{name}_mean": at[name].transform("mean") for name in ("distance", *WHICH)}
    return told.assign(**means, n=at["run_key"].transform("size"))


def runs_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Reduce `gains` to a row per run and sweep.

    Returns IN_PANEL, seed, run_key; proxy_gain and gold_gain, from the start to the last evaluation; best_step, that of
    the highest gold reward of validation prompts, the first of several; proxy_after and gold_after, from there to the
    last; ended, whether that is the last; best_kl, end_kl. NaN where no gold of validation prompts was logged.
    """
    found = []
    for _, run in rows.groupby([stats.HELD, "sweep", "run_key"], sort=True):
        end, judged = run.iloc[-1], run["chooses"].dropna()
        row = end[[*IN_PANEL, "seed", "run_key"]].to_dict()
        row |= {f"{which}_gain": end[which] for which in WHICH} | {"end_kl": end["kl"]}
        row |= dict.fromkeys(("best_step", "best_kl", "proxy_after", "gold_after"), np.nan) | {"ended": False}
        if len(judged):
            best = run.loc[judged.idxmax()]
            row |= {f"{which}_after": end[which] - best[which] for which in WHICH}
            row |= {"best_step": best["step"], "best_kl": best["kl"], "ended": best["step"] == end["step"]}
        found.append(row)
    return pd.DataFrame(found)


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Reduce `runs_of` to a row per cell.

    Returns IN_PANEL, n, each of CHANGES with _low and _high (95 %, Student's t over seeds), first_best and last_best
    (steps, over seeds), best_kl, end_kl (means), verdict ("" where there is no interval), run_keys.
    """
    rows = []
    for _, cell in runs.groupby([stats.HELD, *stats.PANEL, "cell"], sort=True):
        row = cell.iloc[0][IN_PANEL].to_dict() | {"n": len(cell)}
        found = {name: intervals.mean(cell[name].dropna().to_numpy()) for name in CHANGES}
        for name, estimate in found.items():
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        row |= {"first_best": cell["best_step"].min(), "last_best": cell["best_step"].max()}
        row |= {name: cell[name].mean() for name in ("best_kl", "end_kl")}
        row |= {"verdict": verdict(found["proxy_after"], found["gold_after"])}
        rows.append(row | {"run_keys": " ".join(sorted(cell["run_key"]))})
    return pd.DataFrame(rows)


def verdict(proxy: intervals.Estimate, gold: intervals.Estimate) -> str:
    """Say what the changes from the best evaluation by gold to the last one show; nothing without intervals.

    Over-optimised: the proxy rises and gold falls, and neither interval holds 0.
    """
    if not (proxy.bounded and gold.bounded):
        return ""
    if proxy.low > 0 and gold.high < 0:
        return OVER
    return KEEPS if gold.low >= 0 else OPEN
