"""Every figure and table that some runs allow, family by family; what `make_figures` writes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import (
    controlled,
    figures,
    figures_controlled,
    figures_theory,
    figures_vanishing,
    load,
    stats,
    tables,
    theory,
    vanishing,
)
from analysis.save import Drawn
from analysis.tables import Table

KIND = ["scale", "source"]  # what a figure or table of several datasets may not mix
BOUND_ALGOS = ("gradient_bound", "diagnose")


@dataclass(frozen=True)
class Frames:
    """What the run folders hold, of one run per setting and seed."""

    runs: pd.DataFrame
    metrics: pd.DataFrame  # those that figures and tables show
    prompts: pd.DataFrame
    cases: pd.DataFrame


def read(outputs: Path, sweeps: Sequence[str] | None, runs: pd.DataFrame) -> Frames:
    """Read what the given runs wrote."""
    names = [*figures.CURVE_METRICS, *controlled.METRICS]
    return Frames(
        runs,
        stats.of_runs(load.load_metrics(outputs, sweeps, names), runs),
        stats.of_runs(load.load_prompts(outputs, sweeps), runs),
        stats.of_runs(load.load_cases(outputs, sweeps), runs),
    )


def draw(frames: Frames) -> Iterator[Drawn | Table]:
    """Yield every figure and table, one after the other: a figure of a big sweep need not wait for all others."""
    yield from draw_language(frames)
    yield from draw_foretold(frames)
    yield from draw_controlled(frames)
    yield from draw_theory(frames)


def draw_language(frames: Frames) -> Iterator[Drawn]:
    """Yield learning curves, reward scatter and vanishing prompts over training of each panel of language runs."""
    runs, metrics, prompts = (
        stats.of_family(frame, "language") for frame in (frames.runs, frames.metrics, frames.prompts)
    )
    shares = stats.vanishing_share(prompts, np.random.default_rng(0))
    curves = stats.curves(metrics, figures.CURVE_METRICS)
    over_training = vanishing.share_over_training(prompts, metrics)
    for panel in _distinct(runs, stats.PANEL):
        in_curves, in_prompts, in_training = (
            stats.of_panel(frame, panel) for frame in (curves, stats.before_and_after(prompts), over_training)
        )
        if (in_curves["n"] > 0).any():
            yield figures.learning_curves(in_curves)
        if not in_prompts.empty:
            yield figures.reward_scatter(in_prompts, stats.of_panel(shares, panel))
        if not in_training.empty:
            yield figures_vanishing.vanishing_over_training(in_training)


def draw_foretold(frames: Frames) -> Iterator[Drawn | Table]:
    """Yield what the pretrain std foretells: correlations, and RFT relative to SFT, per scale and source."""
    pairs = vanishing.changes(vanishing.from_pretrained(frames.prompts))
    correlations = vanishing.correlation_table(pairs, np.random.default_rng(0))
    points = vanishing.relative_reward(frames.runs, frames.prompts)
    for here in _parts(correlations, KIND):
        yield figures_vanishing.correlations(here)
        yield tables.correlations(here)
    for here in _parts(points, KIND):
        yield figures_vanishing.relative_reward(here)
        yield figures_vanishing.relative_reward_percentiles(here)
        yield tables.relative_reward(here)


def draw_controlled(frames: Frames) -> Iterator[Drawn | Table]:
    """Yield the curves of each controlled setting, and the table of all of them."""
    for here in _parts(controlled.group_curves(frames.metrics), controlled.SETTING):
        yield figures_controlled.groups_over_training(here)
    for here in _parts(controlled.final_table(frames.metrics), KIND):
        yield tables.controlled(here)


def draw_theory(frames: Frames) -> Iterator[Drawn | Table]:
    """Yield time separation, bounds and the distance of PPO's gradient, of each cell that measured them."""
    points = theory.separation_points(frames.cases)
    fits = theory.separation_fits(points)
    for here in _parts(points, stats.CELL):
        yield figures_theory.time_separation(here, fits[fits["cell"] == here["cell"].iloc[0]])
    for here in _parts(fits, KIND):
        yield tables.separation(here)
    for algo in BOUND_ALGOS:
        bounds = theory.bound_points(theory.of_algo(frames.cases, algo))
        yield from map(_bound_figure(algo), _parts(bounds, stats.CELL))
    for here in _parts(theory.ppo_points(frames.cases), stats.CELL):
        yield figures_theory.ppo_gradient(here)


def _bound_figure(algo: str) -> Callable[[pd.DataFrame], Drawn]:
    """Return the figure of an algorithm that measures gradients."""
    return lambda points: figures_theory.gradient_bound(points, algo)


def _distinct(frame: pd.DataFrame, by: list[str]) -> list[tuple]:
    """List the distinct values of some columns, sorted."""
    return list(frame[by].drop_duplicates().sort_values(by).itertuples(index=False, name=None))


def _parts(frame: pd.DataFrame, by: list[str]) -> list[pd.DataFrame]:
    """Split a frame by some columns, in their order; an empty frame has no parts."""
    return [part.reset_index(drop=True) for _, part in frame.groupby(by)] if len(frame) else []
