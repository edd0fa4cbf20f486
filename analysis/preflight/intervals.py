"""95 % intervals: over prompts if these stand for more prompts, over samples if every prompt is there."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

import numpy as np
from jaxtyping import Float

LEVEL = 0.95
NORMAL_95 = 1.96
DRAWS = 1000  # of the bootstrap over prompts
WITHIN_DRAWS = 200  # of the bootstrap within prompts, whose standard error alone is used


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float = nan
    high: float = nan


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
