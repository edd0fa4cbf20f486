"""Reward on test prompts against the KL to the run's start: a curve per algorithm, a point per evaluation.

An algorithm whose curve lies higher earns more for the same distance. A mean over seeds, the bars from their minimum to
their maximum; of one sweep, scale, source, dataset and model.
"""

from collections.abc import Iterator, Mapping

import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing.wanted import ALGORITHMS
from analysis.statistics import frontier, stats
from analysis.statistics.frames import Frames

METRICS = [frontier.REWARD, frontier.KL]
WANTED = ALGORITHMS
FIRST_NATS = 1.0  # below so many nats the axis is linear: a start has none, others hundreds
FEW_NATS = 10.0  # it is linear throughout where no curve goes further


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each sweep and panel in which a policy moved and said how far."""
    curves, silent = frontier.over_seeds(frontier.points(frames)), frontier.silent(frames)
    for here in stats.parts(curves, stats.SWEEP_PANEL):
        if here.groupby("cell")["step"].nunique().max() > 1:
            untold = list(here[stats.SWEEP_PANEL].drop_duplicates().merge(silent, on=stats.SWEEP_PANEL)["algo"])
            yield titled(picture, here, counts=frames.counts, untold=untold)


def picture(curves: pd.DataFrame, counts: Mapping[str, str], untold: list[str]) -> Drawn:
    """Draw one sweep and panel of `frontier.over_seeds`; `untold` names algorithms that told no KL."""
    panel, (sweep,) = layout.single_panel(curves), curves[stats.HELD].unique()
    cells = layout.cells(curves, counts)
    palette = style.colours(list(cells["hue"]))
    notes = ["A point: an evaluation, mean over the n seeds; bars: minimum to maximum of the reward."]
    if untold:
        names = ", ".join(map(style.name, style.algo_order(untold)))
        notes.append(f"Without a curve, as their runs told no KL: {names}.")
    caption = layout.runs_caption(notes, curves["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 4.0 + 0.17 * ((len(cells) + 1) // 2), caption)
        axes = plots.subplots()
        handles = []
        for number, (_, cell) in enumerate(cells.iterrows()):
            line = curves[curves["cell"] == cell["cell"]].sort_values("step")
            bars = [line["reward"] - line["reward_min"], line["reward_max"] - line["reward"]]
            marker = style.MARKERS[number % len(style.MARKERS)]  # more algorithms than colours
            colour = palette[cell["hue"]]
            axes.plot(line["kl"], line["reward"], color=colour, marker=marker, markersize=4.5, linewidth=1.2)
            axes.errorbar(line["kl"], line["reward"], yerr=bars, color=colour, linestyle="", elinewidth=0.6)
            handles.append(Line2D([], [], color=colour, marker=marker, markersize=4.5, label=cell["label"]))
        if curves["kl"].max() > FEW_NATS:
            axes.set_xscale("symlog", linthresh=FIRST_NATS)
        axes.set(
            xlabel="KL to the start (nats per response)",
            ylabel="reward, test prompts",
            xlim=(min(0.0, curves["kl"].min()), None),
        )
        sns.despine(ax=axes)
        plots.suptitle(f"{sweep}  ·  {style.panel_title(*panel)}")
        plots.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=3.5)
    return Drawn(layout.file_name(f"reward_against_kl-{sweep}", panel), figure, curves)
