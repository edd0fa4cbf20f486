"""Runs of the theory on models small enough to compute everything exactly; they train no network of their own.

Each writes a table of cases, logs one line of numbers, and can be repeated from the seed alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from rftlab.diagnostics import softmax_bound
from rftlab.errors import UserError
from rftlab.loops.session import Session
from rftlab.ranges import AtLeastTwo, OpenUnitInterval, PointsOfSlope, Positive
from rftlab.streams import stream_seed
from rftlab.theory import LineFit, fit_slope, ppo_gradient_distances, random_policies, time_separation


@dataclass(frozen=True, kw_only=True)
class TimeSeparation:
    """Measure how long RFT and SFT take to the correct label against the reward std of the start (section 4.3).

    Final metrics: the slope of log time on log std (RFT) and of time on ln(1 / std) (SFT), both of the integrated flow,
    with 95 % confidence limits; and how far gradient descent on a linear model is from the flow.
    """

    n_labels: AtLeastTwo[int]  # K
    n_pretraining_labels: int  # m, the labels that share the mass; the correct one is not among them
    std_low: float
    std_high: float  # below 2 sqrt((K - 1) / K^2), where the correct label starts as likely as the others
    points: PointsOfSlope  # evenly spaced in log std
    descent_step: Positive[float]  # time of the flow that an iteration of gradient descent covers
    descent_budget: Positive[int]  # iterations; starts that need more are left out

    def run(self, session: Session) -> dict[str, float]:
        """Measure all times, write the table, return the final metrics."""
        stds = np.geomspace(self.std_low, self.std_high, self.points)
        try:
            cases = time_separation(
                self.n_labels,
                self.n_pretraining_labels,
                stds,
                self.descent_step,
                self.descent_budget,
                _rng(session, "separation"),
                session.bar,
            )
        except ValueError as error:
            raise UserError(
                str(error), "a start that has to be left", "std_high, n_labels or n_pretraining_labels"
            ) from error
        metrics = separation_metrics(cases)
        for objective, law in (("rft", "log time on log std"), ("sft", "time on ln(1 / std)")):
            slope, low, high, r2 = (
                metrics[f"{objective}/{name}"] for name in ("slope", "slope_low", "slope_high", "r2")
            )
            session.describe(
                f"{objective.upper()}: slope of {law} {slope:.4f} (95 % of fit {low:.4f} to {high:.4f}, R2 {r2:.6f});"
                f" gradient descent off by {metrics[f'{objective}/descent_error']:.2%} at most"
            )
        return _finish(session, cases, metrics)


def separation_metrics(cases: pd.DataFrame) -> dict[str, float]:
    """Fit both laws to the integrated times, and compare descent with them where it arrived."""
    metrics: dict[str, float] = {}
    for objective, rows in cases.groupby("objective"):
        times = rows.pivot(index="std", columns="method", values="time").reindex(columns=["ode", "descent"])
        std, time = times.index.to_numpy(float), times["ode"].to_numpy(float)
        line = fit_slope(np.log(std), np.log(time)) if objective == "rft" else fit_slope(-np.log(std), time)
        error = (times["descent"] / times["ode"] - 1).abs().max()
        metrics |= {f"{objective}/{name}": value for name, value in _line_metrics(line).items()}
        metrics |= {f"{objective}/descent_error": float(error), f"{objective}/longest": float(time.max())}
    return metrics


def _line_metrics(line: LineFit) -> dict[str, float]:
    return {"slope": line.slope, "slope_low": line.low, "slope_high": line.high, "r2": line.r2}


@dataclass(frozen=True, kw_only=True)
class SoftmaxBound:
    """Compare the exact gradients of random one-token softmax policies with both bounds by reward std (theorem 1)."""

    n_labels: Sequence[AtLeastTwo[int]]  # each K gets its own cases
    cases: Positive[int]  # per K

    def run(self, session: Session) -> dict[str, float]:
        """Measure all cases, write the table, return the final metrics."""
        cases = pd.concat([self._cases(k, _rng(session, "bound", k)) for k in self.n_labels], ignore_index=True)
        metrics = {
            **_ratio_metrics("bound", cases["grad_norm"], cases["bound_std"]),
            **_ratio_metrics("bound_two_thirds", cases["grad_norm"], cases["bound_two_thirds"]),
            "bound/max_norm_over_std": _largest_ratio(cases["grad_norm"], cases["reward_std"]),
        }
        low, high = cases["reward_std"].min(), cases["reward_std"].max()
        session.describe(
            f"{len(cases)} policies, std {low:.1e} to {high:.2f}: gradient norm at most"
            f" {metrics['bound/max_norm_over_std']:.4f} std, {metrics['bound/max_ratio']:.3f} of the bound by std,"
            f" {metrics['bound_two_thirds/max_ratio']:.3f} of that by std^(2/3)"
        )
        return _finish(session, cases, metrics)

    def _cases(self, n_labels: int, rng: np.random.Generator) -> pd.DataFrame:
        logits, rewards = random_policies(self.cases, n_labels, rng)
        found = softmax_bound(torch.from_numpy(logits), torch.from_numpy(rewards), (-1.0, 1.0))
        return pd.DataFrame(vars(found) | {"n_labels": n_labels})


@dataclass(frozen=True, kw_only=True)
class PPOGradient:
    """Compare the distance of PPO's gradient from the expected one with the bound on it (proposition 1)."""

    n_labels: Sequence[AtLeastTwo[int]]  # each K gets its own cases
    clip_range: Positive[float]  # delta
    cases: Positive[int]  # per K
    tv_low: Positive[float]
    tv_high: OpenUnitInterval[float]  # of policy and reference; evenly spaced in its logarithm

    def run(self, session: Session) -> dict[str, float]:
        """Measure all cases, write the table, return the final metrics."""
        tvs = np.geomspace(self.tv_low, self.tv_high, self.cases)
        frames = [ppo_gradient_distances(k, self.clip_range, tvs, _rng(session, "ppo", k)) for k in self.n_labels]
        cases = pd.concat(frames, ignore_index=True)
        metrics = _ratio_metrics("ppo", cases["distance"], cases["bound"])
        metrics["ppo/share_equal"] = float((cases["distance"] == 0).mean())
        low, high = cases["tv"].min(), cases["tv"].max()
        session.describe(
            f"{len(cases)} policies, total variation {low:.1e} to {high:.2f}: PPO's gradient is off by at most"
            f" {metrics['ppo/max_ratio']:.3f} of the bound ({metrics['ppo/violations']:.0f} above it), by nothing in"
            f" {metrics['ppo/share_equal']:.0%}"
        )
        return _finish(session, cases, metrics)


# --- what they share ----------------------------------------------------------------------------------------------


def _rng(session: Session, *purpose: str | int) -> np.random.Generator:
    return np.random.default_rng(stream_seed(session.seed, *purpose))


def _finish(session: Session, cases: pd.DataFrame, metrics: dict[str, float]) -> dict[str, float]:
    """Write the table and the numbers; there is one step."""
    session.run.save_cases(cases)
    session.run.log(1, metrics)
    return metrics


def _ratio_metrics(name: str, measured: pd.Series, bound: pd.Series) -> dict[str, float]:
    return {
        f"{name}/max_ratio": _largest_ratio(measured, bound),
        f"{name}/violations": float((measured > bound * (1 + 1e-9)).sum()),
        f"{name}/cases": float(len(bound)),
    }


def _largest_ratio(x: pd.Series, y: pd.Series) -> float:
    """Divide where there is something to divide by; a bound of 0 is met or counted as violated."""
    return float((x[y > 0] / y[y > 0]).max())
