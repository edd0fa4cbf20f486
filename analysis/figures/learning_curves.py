"""Reward and KL of the online runs of one scale, source, dataset and model."""

import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn

CURVE_METRICS = ["reward/mean", "policy/kl"]


def learning_curves(curves: pd.DataFrame) -> Drawn:
    """Draw reward and KL against iterations: a colour per algorithm, a dash and marker per heuristic.

    `curves` is what `stats.curves` returns, of one scale, source, dataset and model; the line is the mean over seeds
    and the band runs from their minimum to their maximum.
    """
    panel = layout.single_panel(curves)
    drawn = curves[curves["n"] > 0].reset_index(drop=True)
    cells = layout.cells(drawn)
    looks = style.looks(list(cells["hue"]), list(cells["heuristic"]))
    notes = ["Line: mean over the n seeds; band: their minimum to maximum.", *layout.nonfinite_note(curves)]
    caption = layout.runs_caption(notes, drawn["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 2.9 + 0.17 * ((len(cells) + 1) // 2), caption)
        for axes, metric in zip(plots.subplots(1, len(CURVE_METRICS)), CURVE_METRICS, strict=True):
            layout.draw_metric(axes, drawn[drawn["metric"] == metric], looks)
            axes.set(xlabel="iteration", ylabel=style.LABELS[metric])
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            sns.despine(ax=axes)
        plots.suptitle(style.panel_title(*panel))
        handles = [layout.line_handle(cell, looks) for _, cell in cells.iterrows()]
        plots.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=3.5)
    return Drawn(layout.file_name("learning_curves", panel), figure, drawn)
