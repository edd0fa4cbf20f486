"""How often a score tells the better response of a pair, and how sure that is."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rftlab import intervals


@dataclass(frozen=True, kw_only=True)
class PairAccuracy:
    """The share of pairs whose chosen response scores higher, ties counted half, with its 95 % interval."""

    value: float
    low: float
    high: float


def pair_accuracy(margins: Float[np.ndarray, " n"], prompts: Sequence[Hashable]) -> PairAccuracy:
    """Measure the accuracy of margins (score of the chosen minus that of the rejected response); NaN without pairs.

    Pairs of one prompt share responses and are not independent. The interval is Wilson's of (sum m)^2 / sum m^2 pairs,
    m being those of a prompt: as if they all said the same (Kish's effective size). With one pair per prompt it is the
    usual one.
    """
    if not len(margins):
        return PairAccuracy(value=math.nan, low=math.nan, high=math.nan)
    value = float(np.mean((np.sign(margins) + 1) / 2))
    counts = Counter(prompts).values()
    low, high = intervals.wilson(value, float(sum(counts) ** 2 / sum(m * m for m in counts)))
    return PairAccuracy(value=value, low=low, high=high)
