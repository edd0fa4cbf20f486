"""Numbers of a diagnosis, with their sampling errors: frames in, dataclasses out. Formulas: `docs/preflight.md`."""

import math
from dataclasses import dataclass, replace
from math import inf, nan

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from analysis.preflight.gradients import Gradient, measure
from analysis.preflight.reading import Measured, Sampled, Setting
from rftlab import intervals
from rftlab.intervals import LEVEL, Estimate, bootstrap, clip, within_prompts

PERCENTILES = (1, 5, 10, 25, 50)  # of the reward std over prompts
RESAMPLES = 100  # of the samples of a prompt
CHUNK = 1000  # prompts resampled at a time
FLAGS = ("vanishing", "stuck", "solved", "by_bound")  # what shares count, in the order of their columns


@dataclass(frozen=True, kw_only=True)
class SamplingError:
    """How much the numbers depend on which G samples of a prompt were drawn.

    Shares are those of the prompts that have all samples.
    """

    n_prompts: int  # with all their samples
    relative_error: float  # median over prompts: standard error of a prompt's std, divided by it
    alike: float  # share of prompts whose samples all score the same
    other_score_limit: float  # 95 % upper limit on the probability of any other score, for such a prompt
    vanishing: float  # share below the threshold, from all samples
    vanishing_half: float  # the same from half of the samples; NaN below 4 samples
    one_score: float  # share of prompts whose every sample has the score that is the commonest of all
    distinct: float  # mean over those of distinct responses / samples


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All numbers of the report."""

    n_prompts: int
    all_sampled: bool  # every train prompt: intervals then hold the noise of the samples, and no choice of prompts
    reward_mean: Estimate
    reward_std: Estimate
    vanishing: Estimate
    stuck: Estimate | None  # vanishing with a low mean; None where no mean counts as low
    solved: Estimate | None  # vanishing with a mean that is not low
    solved_mean: float  # mean reward of the solved prompts; NaN where there are none
    worst: float  # lowest score seen
    best: float  # highest score seen
    percentiles: dict[int, Estimate]
    gradient: Gradient | None
    error: SamplingError | None  # None where no prompt has all its samples


def summarise(measured: Measured, generator: np.random.Generator) -> Summary:
    """Compute everything that the report says in numbers."""
    setting, prompts = measured.setting, measured.prompts
    gradient = measure(measured.cases, setting.max_new_tokens)
    std_limit = nan if gradient is None else gradient.std_limit
    scores = _scores_of_all(measured)
    estimates = _estimates(prompts, scores, setting, std_limit, generator)
    moments, shares = estimates[:2], dict(zip(FLAGS, estimates[2:6], strict=True))
    solved = group(prompts, setting) == "solved"
    known = not math.isnan(setting.low_reward)
    worst, best = _score_range(measured)
    if gradient is not None and not math.isnan(std_limit):
        gradient = replace(gradient, share=shares["by_bound"])
    return Summary(
        n_prompts=len(prompts),
        all_sampled=scores is not None,
        reward_mean=moments[0],
        reward_std=moments[1],
        vanishing=shares["vanishing"],
        stuck=shares["stuck"] if known else None,
        solved=shares["solved"] if known else None,
        solved_mean=float(prompts.loc[solved, "reward_mean"].mean()),
        worst=worst,
        best=best,
        percentiles=dict(zip(PERCENTILES, estimates[6:], strict=True)),
        gradient=gradient,
        error=sampling_error(list(measured.sampled.values()), setting.std_below, generator),
    )


# --- over prompts -------------------------------------------------------------------------------------------------


def group(prompts: pd.DataFrame, setting: Setting) -> pd.Series:
    """Name each prompt: `stuck`, `solved` (`vanishing` where no mean counts as low), or `other`."""
    vanishing = prompts["reward_std"] < setting.std_below
    low = prompts["reward_mean"] < setting.low_reward
    flat = "vanishing" if math.isnan(setting.low_reward) else np.where(low, "stuck", "solved")
    return pd.Series(np.where(vanishing, flat, "other"), prompts.index)


def _estimates(
    prompts: pd.DataFrame,
    scores: Float[np.ndarray, "n g"] | None,
    setting: Setting,
    std_limit: float,
    generator: np.random.Generator,
) -> list[Estimate]:
    """Return mean and std averaged over prompts, the share of each flag, and the percentiles of the std.

    Intervals are those of other prompts, or, where `scores` are those of every prompt there is, of other samples.
    """
    moments = prompts[["reward_mean", "reward_std"]].to_numpy(float)
    if scores is None:
        rows = _rows(*moments.T, setting, std_limit)
        found = bootstrap(_statistics, rows, generator)
        shares = zip(found[2:6], rows.T[2:6], strict=True)
        return [*found[:2], *(Estimate(each.value, *intervals.share(flags)) for each, flags in shares), *found[6:]]

    def of_scores(scores: Float[np.ndarray, "n g"]) -> Float[np.ndarray, " m"]:
        return _statistics(_rows(*_moments(scores), setting, std_limit))

    found = within_prompts(of_scores, scores, generator)
    shares = [clip(each, 0.0, 1.0) for each in found[2:6]]
    return [found[0], clip(found[1], 0.0, inf), *shares, *(clip(each, 0.0, inf) for each in found[6:])]


def _moments(scores: Float[np.ndarray, "n g"]) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return mean and population std of each prompt, measured from its first score as the run does."""
    first = scores[:, 0]
    shifted = scores - first[:, np.newaxis]
    return first + shifted.mean(axis=1), shifted.std(axis=1)


def _rows(
    means: Float[np.ndarray, " n"], stds: Float[np.ndarray, " n"], setting: Setting, std_limit: float
) -> Float[np.ndarray, "n 6"]:
    """Return mean, std and FLAGS of each prompt, a column each."""
    names = group(pd.DataFrame({"reward_mean": means, "reward_std": stds}), setting).to_numpy()
    flags = [names != "other", names == "stuck", names == "solved", stds < std_limit]
    return np.column_stack([means, stds, *flags]).astype(float)


def _statistics(rows: Float[np.ndarray, "n 6"]) -> Float[np.ndarray, " m"]:
    return np.concatenate([rows.mean(axis=0), np.percentile(rows[:, 1], PERCENTILES)])


def _scores_of_all(measured: Measured) -> Float[np.ndarray, "n g"] | None:
    """Return the scores where every train prompt was sampled and all samples are there, else None."""
    rows = [sampled.scores for sampled in measured.sampled.values()]
    n_seen = len(measured.prompts) + measured.n_nonfinite
    complete = len(rows) == len(measured.prompts) and len({len(row) for row in rows}) == 1
    return np.stack(rows) if complete and n_seen >= measured.setting.n_train else None


def _score_range(measured: Measured) -> tuple[float, float]:
    """Return the lowest and the highest score seen; of the prompts' means where no sample was kept."""
    scores = [sampled.scores for sampled in measured.sampled.values()] or [measured.prompts["reward_mean"].to_numpy()]
    return float(min(each.min() for each in scores)), float(max(each.max() for each in scores))


# --- samples of a prompt ------------------------------------------------------------------------------------------


def sampling_error(sampled: list[Sampled], std_below: float, generator: np.random.Generator) -> SamplingError | None:
    """Say how far the samples of a prompt can be trusted; prompts with fewer samples than the most are left out."""
    most = max((len(each.scores) for each in sampled), default=0)
    sampled = [each for each in sampled if len(each.scores) == most]
    if not sampled:
        return None
    scores = np.stack([each.scores for each in sampled])
    one, distinct = _one_score(scores, sampled)
    return SamplingError(
        n_prompts=len(scores),
        relative_error=relative_std_error(scores, generator),
        alike=float(_alike(scores).mean()),
        other_score_limit=other_score_limit(most),
        vanishing=float((scores.std(axis=1) < std_below).mean()),
        vanishing_half=share_from_half(scores, std_below, generator),
        one_score=one,
        distinct=distinct,
    )


def other_score_limit(n_samples: int, level: float = LEVEL) -> float:
    """Return the upper limit on the probability of any other score, after so many samples of one and the same."""
    return 1 - (1 - level) ** (1 / n_samples)


def relative_std_error(
    scores: Float[np.ndarray, "n g"], generator: np.random.Generator, resamples: int = RESAMPLES
) -> float:
    """Return the median over prompts of the bootstrap standard error of the std divided by the std.

    Prompts whose samples all score the same say nothing and are left out; NaN where no other is there.
    """
    scores = scores[~_alike(scores)]
    if len(scores) == 0:
        return nan
    picks = generator.integers(scores.shape[1], size=(resamples, scores.shape[1]))
    parts = [scores[start : start + CHUNK] for start in range(0, len(scores), CHUNK)]
    errors = np.concatenate([part[:, picks].std(axis=2).std(axis=1) for part in parts])
    return float(np.median(errors / scores.std(axis=1)))


def share_from_half(
    scores: Float[np.ndarray, "n g"], std_below: float, generator: np.random.Generator, resamples: int = RESAMPLES
) -> float:
    """Return the share of prompts with a std below the threshold had half as many samples been drawn (expected)."""
    half = scores.shape[1] // 2
    if half < 2:
        return nan
    shares = [
        (scores[:, generator.permutation(scores.shape[1])[:half]].std(axis=1) < std_below).mean()
        for _ in range(resamples)
    ]
    return float(np.mean(shares))


def _alike(scores: Float[np.ndarray, "n g"]) -> Bool[np.ndarray, " n"]:
    """Mark the prompts whose samples all score the same; a std of equal scores may round to more than 0."""
    return scores.min(axis=1) == scores.max(axis=1)


def _one_score(scores: Float[np.ndarray, "n g"], sampled: list[Sampled]) -> tuple[float, float]:
    """Return the share of prompts that always have the commonest score, and how distinct their responses are."""
    values, counts = np.unique(scores, return_counts=True)
    same = (scores == values[counts.argmax()]).all(axis=1)
    distinct = [
        len(set(each.responses)) / len(each.responses) for each, is_one in zip(sampled, same, strict=True) if is_one
    ]
    return float(same.mean()), float(np.mean(distinct)) if distinct else nan
