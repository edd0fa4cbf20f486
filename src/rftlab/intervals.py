"""Every 95 % interval of the product: one measurement has one interval wherever it is shown.

| of | interval | why |
|---|---|---|
| a mean over seeds | Student's t | a bootstrap of 3 seeds knows no value beyond the three, and is too narrow |
| an interquartile mean over seeds, on request | percentile bootstrap within strata | Agarwal et al. 2021 |
| a difference between two settings | Student's t of the differences of shared seeds, else Welch's | |
| the slope of a line | Student's t of least squares | |
| a share of prompts | percentile bootstrap over prompts; exact binomial at 0 and 1 | prompts are many |
| a share of pairs | Wilson's, as the size may be a fraction (Kish) | `scipy.stats.binomtest` counts whole ones |
| statistics of prompts | percentile bootstrap over prompts, or resamples within each | several at once |

numpy and scipy alone, so that training, commands and analysis can all use it.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from types import ModuleType
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int

Seed = TypeVar("Seed", bound=Hashable)
LEVEL = 0.95
NORMAL_95 = 1.96
WILSON_Z = 1.959964  # two-sided 95 %
QUARTER = 0.25  # that an interquartile mean cuts off at both ends
DRAWS = 1000  # of a bootstrap over prompts, or of seeds
WITHIN_DRAWS = 200  # of a bootstrap within prompts, whose standard error alone is used
FEWEST_OF_A_SLOPE = 3  # points: two lie on a line


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN where there is none."""

    value: float
    low: float = nan
    high: float = nan

    @property
    def bounded(self) -> bool:
        """Say whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def _stats() -> ModuleType:
    """Give `scipy.stats`; its import takes a quarter of a second, for intervals of seeds and lines alone."""
    import scipy.stats

    return scipy.stats


# --- over seeds -----------------------------------------------------------------------------------------------------


def half_width(values: Sequence[float], level: float = LEVEL) -> float:
    """Return half the width of Student's interval of a mean; NaN for fewer than two values."""
    numbers = np.asarray(values, dtype=float)
    n = len(numbers)
    if n < 2:
        return nan
    return float(_stats().t.ppf(0.5 + level / 2, n - 1) * _stats().sem(numbers))


def mean(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Average values of independent seeds, with Student's interval; without one for fewer than two values."""
    if len(values) == 0:
        return Estimate(nan)
    centre, half = float(np.mean(values)), half_width(values, level)
    return Estimate(centre, centre - half, centre + half)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far two settings are apart."""

    estimate: Estimate
    n_paired: int  # seeds that both have and that were compared one by one; 0: the two means were

    @property
    def told_apart(self) -> bool:
        """Say whether there is an interval, and 0 is not in it."""
        return self.estimate.bounded and not self.estimate.low <= 0 <= self.estimate.high


def difference(a: Mapping[Seed, float], b: Mapping[Seed, float], level: float = LEVEL) -> Difference:
    """Subtract the mean of `b` from that of `a`, both given by seed.

    Where two seeds or more are shared, their differences are averaged, with Student's interval: a seed that is lucky in
    one setting often is in the other, as data order and noise are the same. Otherwise Welch's interval of two means;
    none where one of the two has a single seed.
    """
    shared = [seed for seed in a if seed in b]
    if len(shared) >= 2:
        return Difference(estimate=mean([a[seed] - b[seed] for seed in shared], level), n_paired=len(shared))
    return Difference(estimate=_welch(list(a.values()), list(b.values()), level), n_paired=0)


def _welch(a: Sequence[float], b: Sequence[float], level: float) -> Estimate:
    if not a or not b:
        return Estimate(nan)
    value = float(np.mean(a) - np.mean(b))
    if len(a) < 2 or len(b) < 2:
        return Estimate(value)
    if np.ptp(a) == 0 and np.ptp(b) == 0:  # scipy divides by the error, which is 0
        return Estimate(value, value, value)
    low, high = _stats().ttest_ind(a, b, equal_var=False).confidence_interval(level)
    return Estimate(value, float(low), float(high))


# --- interquartile means ---------------------------------------------------------------------------------------------


def interquartile_mean(runs: Mapping[Seed, Sequence[float]], level: float = LEVEL) -> Estimate:
    """Average the middle half of all runs, with the percentile interval of a bootstrap of the seeds.

    `runs` has for each seed one value per stratum (a task, or a setting over which is averaged), the same number for
    all. The seeds of each stratum are drawn by themselves (Agarwal et al. 2021, sections 4.1 and 4.3). No interval for
    fewer than two seeds.
    """
    table = _table(runs.values())
    if table.size == 0:
        return Estimate(nan)
    value = float(_stats().trim_mean(table, QUARTER, axis=None))
    if len(table) < 2:
        return Estimate(value)
    return Estimate(value, *percentiles(_trimmed(table, _draws(table.shape)), level))


def interquartile_difference(
    a: Mapping[Seed, Sequence[float]], b: Mapping[Seed, Sequence[float]], level: float = LEVEL
) -> Difference:
    """Subtract the interquartile mean of `b` from that of `a`, with the percentile interval of a bootstrap.

    Where two seeds or more are shared, these alone are compared, and a draw takes the same seeds of both; else the
    draws of the two are independent. None where one of the two has a single seed.
    """
    shared = [seed for seed in a if seed in b]
    paired = len(shared) >= 2
    first, second = (_table([runs[seed] for seed in shared] if paired else runs.values()) for runs in (a, b))
    if not first.size or not second.size:
        return Difference(estimate=Estimate(nan), n_paired=0)
    value = float(np.subtract(*(_stats().trim_mean(table, QUARTER, axis=None) for table in (first, second))))
    if min(len(first), len(second)) < 2:
        return Difference(estimate=Estimate(value), n_paired=0)
    drawn = _draws(first.shape)
    other = drawn if paired and first.shape == second.shape else _draws(second.shape, stream=1)
    apart = _trimmed(first, drawn) - _trimmed(second, other)
    return Difference(estimate=Estimate(value, *percentiles(apart, level)), n_paired=len(shared) if paired else 0)


def _table(rows: Iterable[Sequence[float]]) -> Float[np.ndarray, "n k"]:
    return np.array([list(row) for row in rows], dtype=float)


def _draws(shape: tuple[int, int], stream: int = 0) -> Int[np.ndarray, "draws n k"]:
    """Draw which seeds stand for those of each stratum; always the same draws, as `share` has them."""
    return np.random.default_rng(stream).integers(shape[0], size=(DRAWS, *shape))


def _trimmed(table: Float[np.ndarray, "n k"], drawn: Int[np.ndarray, "draws n k"]) -> Float[np.ndarray, " draws"]:
    resampled = np.take_along_axis(table[None], drawn, axis=1)
    return _stats().trim_mean(resampled.reshape(len(drawn), -1), QUARTER, axis=1)


# --- of a line ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Line:
    """A least-squares line with the interval of its slope."""

    slope: Estimate
    intercept: float
    r2: float  # share of the variance that the line explains; NaN where there is none


def line(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], level: float = LEVEL) -> Line:
    """Fit a line; the interval of the slope is Student's, with n - 2 degrees of freedom, and NaN under 3 points.

    All is NaN of fewer than two points, or where x does not change.
    """
    if len(x) < 2 or np.ptp(x) == 0:
        return Line(slope=Estimate(nan), intercept=nan, r2=nan)
    fit = _stats().linregress(x, y)
    slope, half = float(fit.slope), nan
    if len(x) >= FEWEST_OF_A_SLOPE:
        half = float(_stats().t.ppf(0.5 + level / 2, len(x) - 2)) * float(fit.stderr)
    r2 = float(fit.rvalue) ** 2 if np.ptp(y) > 0 else nan
    return Line(slope=Estimate(slope, slope - half, slope + half), intercept=float(fit.intercept), r2=r2)


# --- of shares ------------------------------------------------------------------------------------------------------


def share(values: Float[np.ndarray, " k"], level: float = LEVEL, draws: int = DRAWS) -> tuple[float, float]:
    """Return the interval of a share of prompts, given the share of seeds or samples of each; (nan, nan) of none.

    A percentile bootstrap over prompts. At a share of 0 or 1, where it has no width, the exact binomial interval. The
    draws are always the same and know no order, so that one measurement has one interval wherever it is shown.
    """
    if len(values) == 0:
        return nan, nan
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) == 1 and distinct[0] in (0, 1):
        reach = 1 - ((1 - level) / 2) ** (1 / len(values))
        return (0.0, reach) if distinct[0] == 0 else (1 - reach, 1.0)
    drawn = np.random.default_rng(0).multinomial(len(values), counts / len(values), size=draws)
    return percentiles(drawn @ distinct / len(values), level)


def wilson(part: float, n: float) -> tuple[float, float]:
    """Give the 95 % score interval of a share `part` of n (Wilson 1927); n need not be whole."""
    z = WILSON_Z
    centre = (part + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(part * (1 - part) / n + z * z / (4 * n * n))
    return centre - half, centre + half


# --- of resamples ---------------------------------------------------------------------------------------------------


def percentiles(resampled: Float[np.ndarray, " draws"], level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile interval of a statistic's resamples; those that are not finite do not count."""
    finite = resampled[np.isfinite(resampled)]
    if len(finite) == 0:
        return nan, nan
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


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


def within_prompts(
    statistic: Callable[[Float[np.ndarray, "n g"]], Float[np.ndarray, " k"]],
    scores: Float[np.ndarray, "n g"],
    generator: np.random.Generator,
    draws: int = WITHIN_DRAWS,
) -> list[Estimate]:
    """Compute statistics of the samples of all prompts; an interval says what other samples would have changed.

    Value +- 1.96 standard errors over resamples of the g scores of each prompt. Resampled stds are low by about
    1 - 1/(2 g), so that the resamples say how far the statistics scatter and not where they lie.
    """
    n, g = scores.shape
    resampled = [
        statistic(np.take_along_axis(scores, generator.integers(g, size=(n, g)), axis=1)) for _ in range(draws)
    ]
    values, errors = statistic(scores), np.std(resampled, axis=0, ddof=1)
    return [
        Estimate(float(value), float(value - NORMAL_95 * error), float(value + NORMAL_95 * error))
        for value, error in zip(values, errors, strict=True)
    ]


def clip(estimate: Estimate, low: float, high: float) -> Estimate:
    """Keep the ends of an interval where the number can be."""
    return Estimate(estimate.value, max(low, estimate.low), min(high, estimate.high))
