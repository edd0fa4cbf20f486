"""How often one of two policies answers better, and how far the order of the two responses decides."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import bootstrap

LEVEL = 0.95
NEITHER = 0.5  # a tie, a coin, no bias
AT_ONCE = 500  # resamples held in memory together


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; NaN where there is nothing to measure."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A readable verdict on a prompt: 1 where the first policy won, 0.5 for a tie, 0 where it lost."""

    value: float
    shown_first: bool  # whether the response of the first policy stood first


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """What verdicts on both orders say together; prompts without a readable verdict on every order are left out."""

    rate: Estimate  # of the first policy, ties counted half; mean over prompts of the mean over orders
    won: int  # prompts, by the mean over orders
    tied: int  # so judged, or won in one order and lost in the other
    lost: int
    left_out: int
    bias: Estimate  # share of verdicts for the response that stood first, ties counted half; 0.5 = no bias
    agreed: float  # share of prompts whose two orders have one verdict


def win_rate(
    verdicts: Mapping[str, Sequence[Shown]], identical: int, orders: int, resamples: int, seed: int
) -> WinRate:
    """Measure verdicts by prompt.

    Args:
        verdicts: The readable ones of each prompt, by its place.
        identical: Prompts that both policies answered alike, which no judge was asked about: ties.
        orders: Verdicts that a prompt needs: 2, or 1 of a judge that sees no order.
        resamples: Of the bootstrap over prompts.
        seed: Of the same.
    """
    complete = [shown for shown in verdicts.values() if len(shown) == orders]
    means = np.array([np.mean([one.value for one in shown]) for shown in complete] + [NEITHER] * identical)
    firsts = [np.mean([one.value if one.shown_first else 1 - one.value for one in shown]) for shown in complete]
    agreed = [len({one.value for one in shown}) == 1 for shown in complete]
    both = orders > 1
    return WinRate(
        rate=mean_with_interval(means, resamples, seed),
        won=int((means > NEITHER).sum()),
        tied=int((means == NEITHER).sum()),
        lost=int((means < NEITHER).sum()),
        left_out=len(verdicts) - len(complete),
        bias=mean_with_interval(np.array(firsts if both else []), resamples, seed),
        agreed=float(np.mean(agreed)) if both and agreed else math.nan,
    )


def mean_with_interval(values: Float[np.ndarray, " n"], resamples: int, seed: int) -> Estimate:
    """Give the mean of numbers in [0, 1], one per prompt, with a percentile bootstrap interval over prompts.

    Where all are equal the bootstrap has no width. The share of prompts that differ is then at most the reach of the
    exact binomial interval, and these may be 0 or 1: at 0 and at 1 it is that interval.
    """
    n = len(values)
    if n == 0:
        return Estimate(value=math.nan, low=math.nan, high=math.nan)
    value = float(values.mean())
    if np.ptp(values) == 0:
        reach = 1 - ((1 - LEVEL) / 2) ** (1 / n)
        return Estimate(value=value, low=value * (1 - reach), high=value + reach * (1 - value))
    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        batch=AT_ONCE,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(value=value, low=float(found.low), high=float(found.high))
