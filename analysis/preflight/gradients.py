"""What the gradients measured on a few prompts say of all prompts. Formulas: `docs/preflight.md`."""

import math
from dataclasses import dataclass
from math import nan, sqrt

import pandas as pd

from rftlab.intervals import Estimate

NEGLIGIBLE = 0.1  # of the root mean square of the gradient norms: a bound below this share leaves next to nothing


@dataclass(frozen=True, kw_only=True)
class Gradient:
    """What the cases say. NaN: not known."""

    n_cases: int
    n_alike: int  # cases whose responses all scored the same: zero by the sample, not measured as zero
    square: float  # mean over the cases of the unbiased estimates of the squared norm; noise may take it below 0
    square_error: float  # its standard error over the cases; NaN of a single one
    grad_norm: float  # root of `square`; NaN where that is not above its own error
    jacobian_norm: float  # the largest of the cases: a lower estimate of gamma
    std_limit: float  # a reward std below this bounds the gradient by NEGLIGIBLE * grad_norm
    noise: float  # median over the cases with a norm above 0 of error / norm
    n_over: int  # cases whose norm exceeds the bound by STD by more than two standard errors
    share: Estimate | None = None  # of prompts below std_limit; None where that is not known


def measure(cases: pd.DataFrame | None, max_new_tokens: int) -> Gradient | None:
    """Summarise the cases, or return None where there are none.

    The squared norms are averaged as they are, negative ones too: cutting each at 0 first would find a gradient where
    there is only noise.
    """
    if cases is None:
        return None
    squares, errors = cases["grad_norm_squared"], cases["grad_error"]
    square, square_error = float(squares.mean(skipna=False)), float(squares.sem(skipna=False))
    grad_norm = sqrt(square) if square > square_error else nan
    jacobian_norm = float(cases["jacobian_norm"].max())
    sized = cases["grad_norm"] > 0
    return Gradient(
        n_cases=len(cases),
        n_alike=int((cases["reward_std"] == 0).sum()),
        square=square,
        square_error=square_error,
        grad_norm=grad_norm,
        jacobian_norm=jacobian_norm,
        std_limit=std_limit(grad_norm, jacobian_norm, max_new_tokens),
        noise=float((errors[sized] / cases.loc[sized, "grad_norm"]).median()),
        n_over=int((cases["grad_norm"] - 2 * errors.fillna(0.0) > cases["bound_std"]).sum()),
    )


def std_limit(grad_norm: float, jacobian_norm: float, max_new_tokens: int) -> float:
    """Return the std s with sqrt(2) L gamma s = NEGLIGIBLE * grad_norm; NaN where gamma is unknown or 0."""
    if not (math.isfinite(jacobian_norm) and jacobian_norm > 0):
        return nan
    return NEGLIGIBLE * grad_norm / (sqrt(2) * max_new_tokens * jacobian_norm)
