"""Numbers of a diagnosis, with their sampling errors: frames in, dataclasses out. Formulas: `docs/preflight.md`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from analysis.preflight.reading import Measured, Sampled, Setting

LEVEL = 0.95
PERCENTILES = (1, 5, 10, 25, 50)  # of the reward std over prompts
NEGLIGIBLE = 0.1  # of the mean measured gradient norm: a bound below this share leaves next to nothing
DRAWS = 1000  # of the bootstrap over prompts
RESAMPLES = 100  # of the samples of a prompt
CHUNK = 1000  # prompts resampled at a time


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float = nan
    high: float = nan


@dataclass(frozen=True, kw_only=True)
class Gradient:
    """What the measured gradients say of all prompts."""

    n_cases: int
    grad_norm: float  # mean over the cases, noise removed
    jacobian_norm: float  # the largest of the cases: a lower estimate of gamma
    std_limit: float  # a reward std below this bounds the gradient by NEGLIGIBLE * grad_norm
    share: Estimate  # of prompts below std_limit
    noise: float  # median over the cases of error / norm
    n_over: int  # cases whose norm exceeds the bound by STD by more than two standard errors


@dataclass(frozen=True, kw_only=True)
class SamplingError:
    """How much of the numbers is an accident of G samples per prompt; shares are of the prompts with all samples."""

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
    scale = gradient_scale(measured.cases, setting.max_new_tokens)
    flags = _flags(prompts, setting, nan if scale is None else scale[2])
    moments, shares, percentiles = _with_intervals(prompts, flags, generator)
    solved_mean = prompts["reward_mean"].to_numpy()[flags["solved"]].mean() if flags["solved"].any() else nan
    known = not math.isnan(setting.low_reward)
    worst, best = _score_range(measured)
    return Summary(
        n_prompts=len(prompts),
        reward_mean=moments[0],
        reward_std=moments[1],
        vanishing=shares["vanishing"],
        stuck=shares["stuck"] if known else None,
        solved=shares["solved"] if known else None,
        solved_mean=float(solved_mean),
        worst=worst,
        best=best,
        percentiles=percentiles,
        gradient=_gradient(measured.cases, scale, shares["by_bound"]),
        error=sampling_error(list(measured.sampled.values()), setting.std_below, generator),
    )


# --- over prompts -------------------------------------------------------------------------------------------------


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    generator: np.random.Generator,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> list[Estimate]:
    """Compute several statistics of independent rows, with percentile bootstrap intervals."""
    n = len(rows)
    resampled = np.array([statistic(rows[generator.integers(n, size=n)]) for _ in range(draws)])
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [Estimate(*map(float, each)) for each in zip(statistic(rows), low, high, strict=True)]


def share_estimate(share: Estimate, n: int, level: float = LEVEL) -> Estimate:
    """Give a share of 0 or 1, whose bootstrap has no width, its exact binomial interval instead."""
    reach = 1 - ((1 - level) / 2) ** (1 / n)
    if share.value == 0:
        return Estimate(0.0, 0.0, reach)
    return Estimate(1.0, 1 - reach, 1.0) if share.value == 1 else share


def group(prompts: pd.DataFrame, setting: Setting) -> pd.Series:
    """Name each prompt: `stuck`, `solved` (`vanishing` where no mean counts as low), or `other`."""
    vanishing = prompts["reward_std"] < setting.std_below
    low = prompts["reward_mean"] < setting.low_reward
    flat = "vanishing" if math.isnan(setting.low_reward) else np.where(low, "stuck", "solved")
    return pd.Series(np.where(vanishing, flat, "other"), prompts.index)


def _flags(prompts: pd.DataFrame, setting: Setting, std_limit: float) -> dict[str, Bool[np.ndarray, " n"]]:
    """Mark the prompts that each share counts."""
    names = group(prompts, setting).to_numpy()
    by_bound = (prompts["reward_std"] < std_limit).to_numpy()
    return {"vanishing": names != "other", "stuck": names == "stuck", "solved": names == "solved"} | {
        "by_bound": by_bound
    }


def _with_intervals(
    prompts: pd.DataFrame, flags: dict[str, Bool[np.ndarray, " n"]], generator: np.random.Generator
) -> tuple[list[Estimate], dict[str, Estimate], dict[int, Estimate]]:
    """Compute the moments, the share of every flag and the percentiles of the std, in one bootstrap over prompts."""
    moments = prompts[["reward_mean", "reward_std"]].to_numpy(float)
    rows = np.column_stack([moments, *(flag.astype(float) for flag in flags.values())])

    def statistic(rows: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " m"]:
        return np.concatenate([rows.mean(axis=0), np.percentile(rows[:, 1], PERCENTILES)])

    estimates = bootstrap(statistic, rows, generator)
    end = 2 + len(flags)
    shares = [share_estimate(each, len(prompts)) for each in estimates[2:end]]
    return (
        estimates[:2],
        dict(zip(flags, shares, strict=True)),
        dict(zip(PERCENTILES, estimates[end:], strict=True)),
    )


def _score_range(measured: Measured) -> tuple[float, float]:
    """Return the lowest and the highest score seen; of the prompts' means where no sample was kept."""
    scores = [sampled.scores for sampled in measured.sampled.values()] or [measured.prompts["reward_mean"].to_numpy()]
    return float(min(each.min() for each in scores)), float(max(each.max() for each in scores))


# --- gradients ----------------------------------------------------------------------------------------------------


def gradient_scale(cases: pd.DataFrame | None, max_new_tokens: int) -> tuple[float, float, float] | None:
    """Return the mean gradient norm, the largest Jacobian norm and the std under which the bound is negligible.

    The square of a measured norm is too large by the square of its error, on average; that is taken off. None where
    nothing was measured or no Jacobian is known.
    """
    if cases is None:
        return None
    errors = cases["grad_error"].fillna(0.0)
    squares = (cases["grad_norm"] ** 2 - errors**2).clip(lower=0)
    norm, jacobian_norm = float(np.sqrt(squares).mean()), float(cases["jacobian_norm"].max())
    if not (math.isfinite(norm) and math.isfinite(jacobian_norm) and jacobian_norm > 0):
        return None
    return norm, jacobian_norm, NEGLIGIBLE * norm / (sqrt(2) * max_new_tokens * jacobian_norm)


def _gradient(cases: pd.DataFrame | None, scale: tuple[float, float, float] | None, share: Estimate) -> Gradient | None:
    """Put together what the cases say."""
    if cases is None or scale is None:
        return None
    over = cases["grad_norm"] - 2 * cases["grad_error"].fillna(0.0) > cases["bound_std"]
    sized = cases[cases["grad_norm"] > 0]
    return Gradient(
        n_cases=len(cases),
        grad_norm=scale[0],
        jacobian_norm=scale[1],
        std_limit=scale[2],
        share=share,
        noise=float((sized["grad_error"] / sized["grad_norm"]).median()),
        n_over=int(over.sum()),
    )


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
