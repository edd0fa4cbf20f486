"""Reward of held-out test prompts and KL to the start at each evaluation (Zhu et al. 2023, Figures 2 to 6 and 8).

A colour is an algorithm with its setting, a band the minimum to maximum over seeds, a bar the 95 % interval of their
mean; of a sweep, and of one scale, source, dataset and model. A run that a sweep found done in another one is in both.
"""

from collections.abc import Iterator, Mapping

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing.wanted import APA_CURVES
from analysis.statistics import evaluations, stats
from analysis.statistics.frames import Frames

METRICS = evaluations.SHOWN
WANTED = APA_CURVES
NAMES = {evaluations.REWARD: "reward, test prompts", evaluations.KL: style.LABELS[evaluations.KL]}
ASIDE = 0.008  # of a cell's bars from those of the next, in parts of the axis
NOTE = "Line: mean over the n seeds; band: their minimum to maximum; bars: 95 % interval of the mean (Student's t)."


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each sweep and panel that was evaluated more than once."""
    for here in stats.parts(evaluations.over_seeds(evaluations.of_sweeps(frames)), stats.SWEEP_PANEL):
        if here["step"].nunique() > 1:
            yield titled(picture, here, counts=frames.counts)


def picture(curves: pd.DataFrame, counts: Mapping[str, str]) -> Drawn:
    """Draw reward and KL of one sweep and panel; `curves` is what `evaluations.over_seeds` returns."""
    panel, (sweep,) = layout.single_panel(curves), curves[stats.HELD].unique()
    cells, coloured = _coloured(layout.cells(curves, counts), curves)
    looks = style.looks(list(cells["hue"]), list(cells["heuristic"]))
    notes = [NOTE, *(["One seed has no interval."] if (curves["n"] == 1).any() else []), *_silent(curves)]
    caption = layout.runs_caption([*notes, *layout.step_note(cells)], curves["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 2.9 + 0.17 * ((len(cells) + 1) // 2), caption)
        for axes, metric in zip(plots.subplots(1, len(METRICS), sharex=True), METRICS, strict=True):
            rows = coloured[coloured["metric"] == metric]
            layout.draw_metric(axes, rows, looks)
            _draw_intervals(axes, rows, cells, looks)
            axes.set(xlabel=layout.step_label(cells), ylabel=NAMES[metric])
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            sns.despine(ax=axes)
        plots.suptitle(f"{sweep}  ·  {style.panel_title(*panel)}")
        handles = [layout.line_handle(cell, looks) for _, cell in cells.iterrows()]
        plots.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=3.5)
    return Drawn(layout.file_name(f"evaluation_curves-{sweep}", panel), figure, curves)


def _coloured(cells: pd.DataFrame, curves: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let an algorithm with one setting here have its own colour, that of every figure."""
    alone = cells.groupby("algo")["variant"].transform("nunique") == 1
    single = curves["algo"].isin(cells.loc[alone, "algo"])
    return (
        cells.assign(hue=cells["hue"].mask(alone, cells["algo"])),
        curves.assign(variant=curves["variant"].mask(single, "")),
    )


def _draw_intervals(axes: Axes, rows: pd.DataFrame, cells: pd.DataFrame, looks: style.Looks) -> None:
    """Draw the interval of each mean, the cells side by side."""
    reach = rows["step"].max() - rows["step"].min() if len(rows) else 0
    for number, (cell, hue) in enumerate(zip(cells["cell"], cells["hue"], strict=True)):
        line = rows[(rows["cell"] == cell) & (rows["n"] > 1)]
        aside = ASIDE * reach * (number - (len(cells) - 1) / 2)
        axes.vlines(line["step"] + aside, line["low"], line["high"], color=looks.palette[hue], linewidth=0.9)


def _silent(curves: pd.DataFrame) -> list[str]:
    """Name the algorithms without a KL."""
    told = set(curves.loc[curves["metric"] == evaluations.KL, "algo"])
    names = [style.name(algo) for algo in style.algo_order(list(set(curves["algo"]) - told))]
    return [f"Without a KL, as their runs told none: {', '.join(names)}."] if names else []
