"""What Zhu et al. 2023 (arXiv 2306.02231) say of the algorithms, held against runs: a difference and its interval.

Claims are in our words. A claim is supported where the 95 % interval of the difference lies on its side of 0, not
supported where it lies on the other side, and else undecided, as with one seed, which has no interval.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics import efficiency, evaluations, offline, stats, win_rates
from analysis.statistics.frames import Frames
from rftlab import intervals
from rftlab.intervals import Estimate

SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"
FIGURES = {  # of the paper, by the sweep that draws it
    "apa_hh": "3, 4", "apa_stack": "2", "apa_tldr": "5", "apa_dolly": "6", "apa_lambda": "7", "ppo_kl_control": "8",
    "apa_offline": "9", "judge": "1",
}  # fmt: skip
LAM, TARGET, INITIAL = "algo.loss.lam", "algo.loss.kl.target", "algo.loss.kl.initial"
METRICS = offline.METRICS
COLUMNS = [*stats.SWEEP_PANEL, "claim", "measure", "value", "low", "high", "n", "verdict", "run_keys"]
ORDER = ["apa", "ppo", "awr", "sft"]  # a claim of a win rate is about the first of two

Runs = pd.DataFrame  # a row per run
Side = Callable[[Runs], pd.Series]  # which runs, True or False


@dataclass(frozen=True)
class Claim:
    """One side has more of something than the other."""

    words: str
    measure: str  # reward, kl, gain or fall: columns of `online_runs` and `offline_runs`
    more: Side
    less: Side


def _algo(name: str) -> Side:
    return lambda runs: runs["algo"] == name


def _extreme(key: str, largest: bool) -> Side:
    """Take the runs with the largest, or the smallest, of several values of a setting."""

    def of(runs: Runs) -> pd.Series:
        values = runs[key]
        if values.nunique() < 2:
            return pd.Series(False, runs.index)
        return values == (values.max() if largest else values.min())

    return of


def _beta(name: str) -> Side:
    """Take the runs of PPO whose KL penalty is adaptive, or absent."""
    return lambda runs: (runs["algo"] == "ppo") & (runs["control"] == name)


ONLINE = (
    Claim("APA ends with more reward than PPO", "reward", _algo("apa"), _algo("ppo")),
    Claim("APA ends nearer to its start than PPO", "kl", _algo("ppo"), _algo("apa")),
    Claim("APA gains more reward than PPO for the same KL", "gain", _algo("apa"), _algo("ppo")),
    Claim("APA ends with more reward than AWR", "reward", _algo("apa"), _algo("awr")),
    Claim("AWR loses more of its best reward than APA", "fall", _algo("awr"), _algo("apa")),
    Claim("APA with a smaller lambda ends further from its start", "kl", _extreme(LAM, False), _extreme(LAM, True)),
    Claim("APA with a smaller lambda ends with more reward", "reward", _extreme(LAM, False), _extreme(LAM, True)),
    Claim("PPO without a KL penalty ends further than with an adaptive one", "kl", _beta("none"), _beta("adaptive")),
    Claim("PPO without a KL penalty ends with more reward", "reward", _beta("none"), _beta("adaptive")),
    Claim("PPO with an adaptive beta loses more of its best reward", "fall", _beta("adaptive"), _beta("none")),
)
OFFLINE = (
    Claim("offline AWR ends with more reward than ILQL, b = 1", "reward", _algo("offline_awr"), _algo("ilql b = 1")),
    Claim("offline AWR ends with more reward than ILQL, b = 4", "reward", _algo("offline_awr"), _algo("ilql b = 4")),
    Claim("offline AWR ends with more reward than offline APA", "reward", _algo("offline_awr"), _algo("offline_apa")),
)


def of_sweeps(frames: Frames) -> pd.DataFrame:
    """Hold every claim against every sweep, dataset and model with runs of both of its sides.

    A side with several settings is compared with nothing: which of them would be a choice made after the fact.

    Returns COLUMNS: value is the difference between the means of the two sides (of shared seeds where there are two),
    or the win rate minus 0.5, with its 95 % interval, and n the seeds of the side that has fewer.
    """
    rows = [*_held_against(ONLINE, online_runs(frames)), *_held_against(OFFLINE, offline_runs(frames))]
    return pd.DataFrame([*rows, *_judged(frames)], columns=COLUMNS)


def verdict(found: Estimate) -> str:
    """Say what an interval of "this much more" means for a claim."""
    if not found.bounded or found.low <= 0 <= found.high:
        return UNDECIDED
    return SUPPORTED if found.low > 0 else NOT_SUPPORTED


def online_runs(frames: Frames) -> Runs:
    """Give a row per run that was evaluated more than once: reward, kl, gain and fall, and what sets it apart."""
    parts = []
    for part in stats.parts(evaluations.of_sweeps(frames), stats.SWEEP_PANEL):
        here = part[~part["algo"].isin(offline.FIXED_RESPONSES)]
        if here["step"].nunique() < 2:
            continue
        runs = efficiency.runs_of(here).rename(columns={"end": "reward"})
        told = here[here["metric"] == evaluations.KL].sort_values("step").drop_duplicates("run_key", keep="last")
        parts.append(runs.merge(told[["run_key", "value"]].rename(columns={"value": "kl"}), on="run_key", how="left"))
    if not parts:
        return pd.DataFrame()
    runs = pd.concat(parts, ignore_index=True)
    settings = {row["run_key"]: row["settings"] for row in frames.runs[["run_key", "settings"]].to_dict("records")}
    return runs.assign(
        **{LAM: [_lam(algo, settings[key]) for algo, key in zip(runs["algo"], runs["run_key"], strict=True)]},
        control=[_control_of(settings[key]) for key in runs["run_key"]],
    )


def offline_runs(frames: Frames) -> Runs:
    """Give a row per run and way of decoding of algorithms that learn fixed responses."""
    ends = offline.ends(frames)
    words = [" ".join([algo, *([way] if way else [])]) for algo, way in zip(ends["algo"], ends["decoded"], strict=True)]
    return ends.assign(algo=words, reward=ends["end"])


def _lam(algo: str, settings: Mapping[str, str]) -> float:
    return float(json.loads(settings[LAM])) if algo == "apa" and LAM in settings else np.nan


def _control_of(settings: Mapping[str, str]) -> str:
    initial, target = (json.loads(settings.get(key, "null")) for key in (INITIAL, TARGET))
    if target is not None:
        return "adaptive"
    return "none" if initial in (None, 0) else "constant"


def _held_against(claims: tuple[Claim, ...], runs: Runs) -> Iterator[dict]:
    for part in stats.parts(runs, stats.SWEEP_PANEL) if len(runs) else ():
        for claim in claims:
            more, less = (part[side(part) & np.isfinite(part[claim.measure])] for side in (claim.more, claim.less))
            if more["cell"].nunique() != 1 or less["cell"].nunique() != 1:
                continue
            found = intervals.difference(_by_seed(more, claim.measure), _by_seed(less, claim.measure)).estimate
            keys = " ".join(sorted({*more["run_key"], *less["run_key"]}))
            n = min(more["seed"].nunique(), less["seed"].nunique())
            yield _row(part.iloc[0][stats.SWEEP_PANEL].to_dict(), claim.words, claim.measure, found, n, keys)


def _by_seed(runs: Runs, measure: str) -> Mapping[int, float]:
    return dict(zip(runs["seed"], runs[measure], strict=True))


def _row(about: dict, words: str, measure: str, found: Estimate, n: int, keys: str) -> dict:
    numbers = {"value": found.value, "low": found.low, "high": found.high, "n": n}
    return about | {"claim": words, "measure": measure} | numbers | {"verdict": verdict(found), "run_keys": keys}


# --- the judge ------------------------------------------------------------------------------------------------------

WINS = {("apa", "ppo"): "APA to PPO", ("apa", "sft"): "APA to SFT"}  # of PPO and SFT the paper says nothing in words


def _judged(frames: Frames) -> Iterator[dict]:
    """Hold what a judge said against Figure 1: a row per pair of algorithms, judge and dataset."""
    if frames.comparisons.empty:
        return
    known = set(frames.runs["algo"])
    rows = win_rates.sided(frames, [*ORDER, *sorted(known - set(ORDER))])
    rows = rows[[pair in WINS for pair in zip(rows["a_algo"], rows["b_algo"], strict=True)]]
    by = [*win_rates.GROUP, "a_model", "a_algo", "b_algo", "judge", "split"]
    for _, group in rows.groupby(by, sort=True):
        first = group.iloc[0]
        about = {stats.HELD: "judge", "scale": first["scale"], "source": first["source"], "data": first["data"]}
        words = f"a judge prefers {WINS[first['a_algo'], first['b_algo']]}"
        found = _rate(group)
        keys = " ".join(sorted({key for keys in group["run_keys"] for key in keys.split()}))
        yield _row(about | {"model": first["a_model"]}, words, "win rate", found, group["a_seed"].nunique(), keys)


def _rate(group: pd.DataFrame) -> Estimate:
    """Give the win rate minus one half: over seeds, or over the prompts of a single comparison."""
    if group["a_seed"].nunique() == len(group) > 1:
        return intervals.mean(list(group["rate"] - 0.5))
    first = group.iloc[0]
    return Estimate(*(float(first[name]) - 0.5 for name in ("rate", "rate_low", "rate_high")))
