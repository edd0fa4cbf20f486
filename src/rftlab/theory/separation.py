"""How long a policy takes to prefer the correct label: reinforcement against supervised finetuning.

Linear model, orthonormal inputs, small learning rate: every input then has logits z of its own that follow
dz/dt = p (r - V) for the expected reward (RFT) or dz/dt = e - p for the log-likelihood (SFT), e the correct label
(Razin et al. 2024, section 4.3 and appendix C). Rewards are +1 for the correct label and -1 for the others. Label 0 is
the correct one, the m pretraining labels come next and share the mass equally; all others start with the probability
eps of the correct one. Time is that of the flow of one input, in units of 1 / learning rate.

The theory says Omega(1 / STD^2) for RFT and O(ln(1 / STD)) for SFT. For this start and eps -> 0 both are sharp:
T_RFT STD^2 -> 2m / (m + 1), and T_SFT grows by 2m / (m + 1) per unit of ln(1 / STD).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from rftlab import intervals
from rftlab.theory.cases import softmax

Field = Callable[[Float[np.ndarray, "n k"]], Float[np.ndarray, "n k"]]
Bar = Callable[[Iterable[int], str], Iterable[int]]

OBJECTIVES = ("rft", "sft")
RTOL = 1e-9
ATOL = 1e-10  # nats


@dataclass(frozen=True, kw_only=True)
class LineFit:
    """A least-squares line with the 95 % confidence interval of its slope."""

    slope: float
    low: float
    high: float
    intercept: float
    r2: float  # share of the variance that the line explains


def fit_slope(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> LineFit:
    """Fit a line through three points or more; the interval is that of Student's t with n - 2 degrees of freedom.

    Times that are computed without noise leave residuals all the same: the bend of the curve. The interval then says
    how straight the points are, not where the slope of a limit lies.
    """
    if len(x) < intervals.FEWEST_OF_A_SLOPE:
        raise ValueError(f"{len(x)} points; a confidence interval needs {intervals.FEWEST_OF_A_SLOPE}")
    fit = intervals.line(x, y)
    slope = fit.slope
    return LineFit(slope=slope.value, low=slope.low, high=slope.high, intercept=fit.intercept, r2=fit.r2)


# --- the start ----------------------------------------------------------------------------------------------------


def eps_of_std(std: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Give the probability of the correct label below 1/2 at which rewards of +-1 have this std, 2 sqrt(eps (1 - eps)).

    The form has no cancellation at small std.
    """
    return std**2 / (2 * (1 + np.sqrt(1 - std**2)))


def start_logits(n_labels: int, n_pretraining_labels: int, eps: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
    """Give the logits after pretraining, one row per eps; they are log-probabilities.

    Raises:
        ValueError: no pretraining label, none left to be correct, or an eps that is already the largest probability.
    """
    if not 1 <= n_pretraining_labels < n_labels:
        raise ValueError(f"{n_pretraining_labels} pretraining labels of {n_labels}; at least 1 and fewer than all")
    if not np.all((eps > 0) & (eps < 1 / n_labels)):
        raise ValueError(f"eps up to {eps.max():g}; the correct label must start below 1/{n_labels}, so must its std")
    logits = np.tile(np.log(eps)[:, None], (1, n_labels))
    share = (1 - (n_labels - n_pretraining_labels) * eps) / n_pretraining_labels
    logits[:, 1 : 1 + n_pretraining_labels] = np.log(share)[:, None]
    return logits


# --- the fields ---------------------------------------------------------------------------------------------------


def rft_field(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Differentiate the expected reward by the logits: p (r - V), with V = 2 p_0 - 1.

    Written as 2 p_0 (1 - p_0) and -2 p_i p_0, it keeps full precision when p_0 is tiny and V next to -1.
    """
    probs = softmax(logits)
    field = -2 * probs * probs[:, :1]
    field[:, 0] = 2 * probs[:, 0] * probs[:, 1:].sum(axis=1)
    return field


def sft_field(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Differentiate the log-likelihood of the correct label by the logits: e - p."""
    probs = softmax(logits)
    field = -probs
    field[:, 0] = probs[:, 1:].sum(axis=1)
    return field


def field_of(objective: str) -> Field:
    """Give the field of an objective, `rft` or `sft`."""
    return {"rft": rft_field, "sft": sft_field}[objective]


def lead(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Say by how much the correct label leads all others, in nats; negative while another one is more likely."""
    return logits[:, 0] - logits[:, 1:].max(axis=1)


# --- two ways to the time -----------------------------------------------------------------------------------------


def flow_time(objective: str, logits: Float[np.ndarray, " k"]) -> float:
    """Integrate the flow of all K logits until the correct label has the largest probability.

    The solver is explicit and of order 8: the flow speeds up as it goes on but is not stiff, its relaxation being no
    faster than its progress. Some hundred evaluations suffice at times of 1e14.

    Raises:
        RuntimeError: the solver failed, or the lead did not change within ten times what theory allows.
    """
    from scipy.integrate import solve_ivp  # half a second, which other runs need not wait for

    field = field_of(objective)

    def crossing(_: float, z: Float[np.ndarray, " k"]) -> float:
        return float(lead(z[None])[0])

    # the gap to any other label grows at 2 p (1 - p) or faster and p does not fall: 1 / eps would be enough
    horizon = 10 / float(softmax(logits[None])[0, 0])
    solution = solve_ivp(
        lambda _, z: field(z[None])[0],
        (0.0, horizon),
        logits,
        "DOP853",
        events=_terminal(crossing),
        rtol=RTOL,
        atol=ATOL,
    )
    if not len(solution.t_events[0]):
        raise RuntimeError(f"the correct label does not lead after a time of {horizon:g}: {solution.message}")
    return float(solution.t_events[0][0])


def _terminal(event: Callable[[float, Float[np.ndarray, " k"]], float]) -> Callable:
    """Mark an event as the end of the integration, the way scipy reads it."""
    event.terminal = True  # ty: ignore[missing-attribute]
    return event


def descent_times(
    objective: str,
    logits: Float[np.ndarray, "n k"],
    step: float,
    steps: Iterable[int],
    rng: np.random.Generator,
) -> Float[np.ndarray, " n"]:
    """Train an actual linear model on all n inputs at once by gradient descent; NaN where the steps did not suffice.

    The model is W (k, d) with logits W x and d = n random orthonormal inputs; the objective is the mean over inputs and
    the learning rate n * step, so that one iteration covers the time `step` of the flow of each input:
    time = iterations * learning rate / n. Inputs that have arrived stay in the training set.
    """
    n = len(logits)
    field = field_of(objective)
    inputs = np.linalg.qr(rng.standard_normal((n, n)))[0]
    weights, outputs = logits.T @ inputs, logits
    times = np.full(n, np.nan)
    for iteration in steps:
        weights = weights + n * step * (field(outputs).T @ inputs / n)
        outputs = inputs @ weights.T
        times[np.isnan(times) & (lead(outputs) > 0)] = (iteration + 1) * step
        if not np.isnan(times).any():
            break
    return times


def time_separation(
    n_labels: int,
    n_pretraining_labels: int,
    stds: Float[np.ndarray, " n"],
    descent_step: float,
    descent_budget: int,
    rng: np.random.Generator,
    bar: Bar = lambda items, label: items,
) -> pd.DataFrame:
    """Measure the time to the correct label for starts of given reward std, by the flow and by gradient descent.

    Returns:
        Columns objective (rft | sft), method (ode | descent), eps, std, time; descent has a row only where it arrived
        within `descent_budget` iterations.
    """
    eps = eps_of_std(stds)
    logits = start_logits(n_labels, n_pretraining_labels, eps)
    frames = []
    for objective in OBJECTIVES:
        flow = np.array([flow_time(objective, row) for row in logits])
        steps = bar(range(descent_budget), f"{objective} descent")
        descent = descent_times(objective, logits, descent_step, steps, rng)
        for method, times in (("ode", flow), ("descent", descent)):
            frames.append(
                pd.DataFrame({"objective": objective, "method": method, "eps": eps, "std": stds, "time": times})
            )
    return pd.concat(frames, ignore_index=True).dropna(ignore_index=True)
