"""Share of prompts with std < 0.05 against iterations (of supervised runs: optimiser steps).

It is drawn of runs that look at their prompts during training (`eval.probe_every`); every look, also those before and
after, counts the prompts that are looked at during training.
"""

from collections.abc import Iterator, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from analysis.drawing import curves as lines
from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.statistics import stats, vanishing
from analysis.statistics.frames import Frames
from analysis.statistics.stats import STD_BELOW

ENDS = (-0.02, 1.02)  # of the axis, so that a point at 0 or 1 is whole
WANTED = ()  # no run is missing: prompts are probed during training only where somebody sets `eval.probe_every`


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each panel of language runs that looked at their prompts during training."""
    shares = vanishing.share_over_training(stats.of_family(frames.prompts, "language"))
    for here in stats.parts(shares, stats.PANEL):
        yield titled(picture, here, counts=frames.counts)


def picture(curves: pd.DataFrame, counts: Mapping[str, str]) -> Drawn:
    """Draw the share of one panel.

    `curves` is what `vanishing.share_over_training` returns, of one scale, source, dataset and model;
    `counts` maps a cell to what its steps count.
    """
    panel = layout.single_panel(curves)
    cells = layout.cells(curves, counts)
    parts = lines.facets(cells)
    prompts = layout.span(curves["n_prompts"].min(), curves["n_prompts"].max())
    notes = [
        f"Share of prompts with reward std < {STD_BELOW:g}, of the {prompts} train prompts looked at during training;",
        "first and last point: the same prompts before and after it.",
        *layout.seeds_note(curves, ENDS),
        *layout.step_note(cells),
        *parts.notes,
    ]
    caption = layout.runs_caption(notes, curves["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, parts.height(1), caption)
        lines.draw(plots, curves, cells, parts, {vanishing.SHARE: "prompts with a vanishing gradient"}, _as_share)
        plots.suptitle(style.panel_title(*panel))
    return Drawn(layout.file_name("vanishing_over_training", panel), figure, curves)


def _as_share(axes: Axes) -> None:
    axes.set_ylim(*ENDS)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
