"""Reward of held-out test prompts and KL to the start at each evaluation (Zhu et al. 2023, Figures 2 to 6 and 8).

A colour is an algorithm with its setting, a band the minimum to maximum over seeds, a bar the 95 % interval of their
mean; of a sweep, and of one scale, source, dataset and model. A run that a sweep found done in another one is in both.
"""

from collections.abc import Iterator, Mapping

import pandas as pd

from analysis.drawing import curves as lines
from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing.wanted import APA_CURVES, APA_OF_OTHERS
from analysis.statistics import evaluations, stats
from analysis.statistics.frames import Frames

METRICS = evaluations.SHOWN
WANTED = (*APA_CURVES, *APA_OF_OTHERS)
NAMES = {evaluations.REWARD: "reward, test prompts", evaluations.KL: style.LABELS[evaluations.KL]}


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each sweep and panel that was evaluated more than once."""
    for here in stats.parts(evaluations.over_seeds(evaluations.of_sweeps(frames)), stats.SWEEP_PANEL):
        if here["step"].nunique() > 1:
            yield titled(picture, here, counts=frames.counts)


def picture(curves: pd.DataFrame, counts: Mapping[str, str]) -> Drawn:
    """Draw reward and KL of one sweep and panel; `curves` is what `evaluations.over_seeds` returns."""
    panel, (sweep,) = layout.single_panel(curves), curves[stats.HELD].unique()
    cells = layout.cells(curves, counts)
    parts = lines.facets(cells)
    notes = [*layout.seeds_note(curves), *_silent(curves), *layout.step_note(cells), *parts.notes]
    caption = layout.runs_caption(notes, curves["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, parts.height(len(METRICS)), caption)
        lines.draw(plots, curves, cells, parts, {metric: NAMES[metric] for metric in METRICS})
        plots.suptitle(f"{sweep}  ·  {style.panel_title(*panel)}")
    return Drawn(layout.file_name(f"evaluation_curves-{sweep}", panel), figure, curves)


def _silent(curves: pd.DataFrame) -> list[str]:
    """Name the algorithms without a KL."""
    told = set(curves.loc[curves["metric"] == evaluations.KL, "algo"])
    names = [style.name(algo) for algo in style.algo_order(list(set(curves["algo"]) - told))]
    return [f"Without a KL, as their runs told none: {', '.join(names)}."] if names else []
