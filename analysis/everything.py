"""Every figure and table that some runs allow, family by family; what `make_figures` writes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import load
from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.table import Table
from analysis.figures import (
    controlled as controlled_figure,
)
from analysis.figures import (
    gradient_bound,
    learning_curves,
    ppo_gradient,
    reward_change_correlation,
    reward_scatter,
    rft_relative_to_sft,
    time_separation,
    vanishing_over_training,
)
from analysis.statistics import controlled, stats, theory, vanishing
from analysis.tables import controlled as controlled_table
from analysis.tables import correlations as correlations_table
from analysis.tables import relative_reward as relative_reward_table
from analysis.tables import time_separation as time_separation_table

KIND = ["scale", "source"]  # what a figure or table of several datasets may not mix
SETTINGS = ("variant", "sft_variant")  # columns with the words of a setting
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
    names = [*learning_curves.CURVE_METRICS, *controlled.METRICS]
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
    curves = stats.curves(metrics, learning_curves.CURVE_METRICS)
    over_training = vanishing.share_over_training(prompts)
    for panel in _distinct(runs, stats.PANEL):
        in_curves, in_prompts, in_shares, in_training = (
            stats.of_panel(frame, panel) for frame in (curves, stats.before_and_after(prompts), shares, over_training)
        )
        if (in_curves["n"] > 0).any():
            yield titled(learning_curves.learning_curves, in_curves)
        if not in_prompts.empty:
            yield titled(reward_scatter.reward_scatter, in_prompts, in_shares)
        if not in_training.empty:
            yield titled(vanishing_over_training.vanishing_over_training, in_training)


def draw_foretold(frames: Frames) -> Iterator[Drawn | Table]:
    """Yield what the pretrain std foretells: correlations, and RFT relative to SFT, per scale and source."""
    pairs = vanishing.changes(vanishing.from_pretrained(frames.prompts))
    correlations = vanishing.correlation_table(pairs, np.random.default_rng(0))
    points = vanishing.relative_reward(frames.runs, frames.prompts)
    for here in _parts(correlations, KIND):
        yield titled(reward_change_correlation.correlations, here)
        yield correlations_table.correlations(here)
    for here in _parts(points, KIND):
        yield titled(rft_relative_to_sft.relative_reward, here)
        yield titled(rft_relative_to_sft.relative_reward_percentiles, here)
        yield relative_reward_table.relative_reward(here)


def draw_controlled(frames: Frames) -> Iterator[Drawn | Table]:
    """Yield the curves of each controlled setting, and the table of all of them."""
    for here in _parts(controlled.group_curves(frames.metrics), controlled.SETTING):
        yield titled(controlled_figure.groups_over_training, here)
    for here in _parts(controlled.final_table(frames.metrics), KIND):
        yield controlled_table.controlled(here)


def draw_theory(frames: Frames) -> Iterator[Drawn | Table]:
    """Yield time separation, bounds and the distance of PPO's gradient, of each cell that measured them."""
    points = theory.separation_points(frames.cases)
    fits = theory.separation_fits(points)
    yield from _of_cells(points, lambda here: time_separation.time_separation(here, _fits_of(here, fits)))
    for here in _parts(fits, KIND):
        yield time_separation_table.separation(here)
    for algo in BOUND_ALGOS:
        yield from _of_cells(theory.bound_points(theory.of_algo(frames.cases, algo)), _bound_figure(algo))
    yield from _of_cells(theory.ppo_points(frames.cases), ppo_gradient.ppo_gradient)


def _of_cells(points: pd.DataFrame, draw: Callable[[pd.DataFrame], Drawn]) -> Iterator[Drawn]:
    """Draw each cell; what the cells of a panel share is in their titles, not in what tells them apart."""
    for panel in _parts(points, stats.PANEL):
        words = layout.shared_words(panel["variant"])
        for here in _parts(layout.without(panel, words), stats.CELL):
            yield _with_title(draw(here), words)


def _fits_of(points: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """Keep the fits of the one cell of these points, under the same words."""
    first = points.iloc[0]
    return fits[fits["cell"] == first["cell"]].assign(variant=first["variant"])


def _bound_figure(algo: str) -> Callable[[pd.DataFrame], Drawn]:
    """Return the figure of an algorithm that measures gradients."""
    return lambda points: gradient_bound.gradient_bound(points, algo)


def titled(draw: Callable[..., Drawn], frame: pd.DataFrame, *more: pd.DataFrame) -> Drawn:
    """Draw frames of the same cells; the words that all their settings share go from the labels into the title."""
    words = layout.shared_words(*(frame[column] for column in SETTINGS if column in frame))
    return _with_title(draw(*(_without(each, words) for each in (frame, *more))), words)


def _without(frame: pd.DataFrame, words: list[str]) -> pd.DataFrame:
    """Take words out of all settings of a frame."""
    for column in SETTINGS:
        frame = layout.without(frame, words, column) if column in frame else frame
    return frame


def _with_title(drawn: Drawn, words: list[str]) -> Drawn:
    """Add to title and CSV what all cells of a figure changed: every figure passes here, so none can leave it out."""
    with style.print_style():
        layout.fit(drawn.figure)
        if not words:
            return drawn
        layout.add_to_title(drawn.figure, layout.setting_lines(words))
    return replace(drawn, data=drawn.data.assign(changed=" ".join(words)))


def _distinct(frame: pd.DataFrame, by: list[str]) -> list[tuple]:
    """List the distinct values of some columns, sorted."""
    return list(frame[by].drop_duplicates().sort_values(by).itertuples(index=False, name=None))


def _parts(frame: pd.DataFrame, by: list[str]) -> list[pd.DataFrame]:
    """Split a frame by some columns, in their order; an empty frame has no parts."""
    return [part.reset_index(drop=True) for _, part in frame.groupby(by)] if len(frame) else []
