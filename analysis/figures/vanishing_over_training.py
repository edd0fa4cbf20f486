"""Share of prompts with std < 0.05 against iterations (of supervised runs: optimiser steps).

It is drawn of runs that look at their prompts during training (`eval.probe_every`); every look, also those before and
after, counts the prompts that are looked at during training.
"""

from collections.abc import Iterator, Mapping

import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator, PercentFormatter

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.statistics import stats, vanishing
from analysis.statistics.frames import Frames
from analysis.statistics.stats import STD_BELOW

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
    looks = style.looks(list(cells["hue"]), list(cells["heuristic"]))
    prompts = layout.span(curves["n_prompts"].min(), curves["n_prompts"].max())
    notes = [
        f"Share of prompts with reward std < {STD_BELOW:g}, of the {prompts} train prompts looked at during training;",
        "first and last point: the same prompts before and after it.",
        "Line: mean over the n seeds; band: their minimum to maximum.",
        *layout.step_note(cells),
    ]
    caption = layout.runs_caption(notes, curves["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 3.0 + 0.17 * ((len(cells) + 1) // 2), caption)
        axes = plots.subplots()
        layout.draw_metric(axes, curves, looks)
        axes.set(xlabel=layout.step_label(cells), ylim=(-0.02, 1.02))
        axes.set_ylabel("prompts with a vanishing gradient")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        sns.despine(ax=axes)
        plots.suptitle(style.panel_title(*panel))
        handles = [layout.line_handle(cell, looks) for _, cell in cells.iterrows()]
        plots.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=3.5)
    return Drawn(layout.file_name("vanishing_over_training", panel), figure, curves)
