"""Scores in words: mean, spread, quantiles and a histogram of text."""

from itertools import pairwise

import numpy as np
from jaxtyping import Float

BINS, WIDTH = 10, 40  # of the histogram: rows, and signs of its longest bar
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
NAMES = ("min", "5 %", "25 %", "median", "75 %", "95 %", "max")


def report(scores: Float[np.ndarray, " n"]) -> list[str]:
    """Return lines with mean and standard deviation (population form), quantiles and a histogram."""
    said = ", ".join(f"{name} {value:.4g}" for name, value in zip(NAMES, np.quantile(scores, QUANTILES), strict=True))
    return [f"mean {scores.mean():.4f}, std {scores.std():.4f}", said, *histogram(scores)]


def histogram(scores: Float[np.ndarray, " n"]) -> list[str]:
    """Draw a bar of signs per interval between the lowest and the highest score; one line where all are equal."""
    low, high = float(scores.min()), float(scores.max())
    if low == high:
        return [f"all {len(scores):,} are {low:.4g}"]
    counts, edges = np.histogram(scores, bins=BINS, range=(low, high))
    ends = [f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)]
    wide = max(map(len, ends))
    bars = ["#" * int(np.ceil(WIDTH * count / counts.max())) for count in counts]
    return [f"  {end:<{wide}}  {bar:<{WIDTH}} {count:,}" for end, bar, count in zip(ends, bars, counts, strict=True)]
