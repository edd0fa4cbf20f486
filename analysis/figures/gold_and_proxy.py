"""Gains of the optimised reward (proxy) and of a gold reward against the KL to the start (Gao et al. 2023, Figure 1).

A panel per setting of a sweep: thin lines are seeds, thick ones their mean. The axis is d = sqrt(KL), as theirs. Where
gold turns down and the proxy does not, the policy over-optimises.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Literal

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing.wanted import APA_GOLD
from analysis.statistics import gold, stats
from analysis.statistics.frames import Frames

METRICS = gold.METRICS
WANTED = APA_GOLD
COLUMNS, MOST = 3, 12  # panels: in a row, and of a figure that still fits a page
COLOURS = {"proxy": 0, "gold": 1}  # of the colour-blind palette
DASHES: dict[str, Literal["--", "-"]] = {"proxy": "--", "gold": "-"}  # as in Gao et al. 2023
WORDS = {"proxy": "proxy: the reward that was optimised", "gold": "gold: a reward that taught nothing"}
NOTE = (
    "Test prompts; KL in nats per response. Thin: seeds, through their evaluations in the order of time; thick: mean "
    "over the n seeds at each evaluation. The two rewards have units of their own: compare directions, not heights."
)


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each sweep, dataset and model whose runs moved, told how far and were scored by a gold reward."""
    for whole in stats.parts(frames.once(gold.gains), stats.SWEEP_PANEL):
        here = gold.with_means(whole)
        if here["distance"].max() > 0 and here["cell"].nunique() <= MOST:
            silent = style.algo_order(list(set(whole["algo"]) - set(here["algo"])))
            yield titled(picture, here, counts=frames.counts, silent=silent)


def picture(rows: pd.DataFrame, counts: Mapping[str, str], silent: list[str]) -> Drawn:
    """Draw one sweep and panel; `rows` are those of `gold.with_means`, `silent` names algorithms that told no KL."""
    panel, (sweep,) = layout.single_panel(rows), rows[stats.HELD].unique()
    cells = layout.cells(rows, counts)
    untold = f"Without a panel, as their runs told no KL: {', '.join(map(style.name, silent))}."
    caption = layout.runs_caption([NOTE, *([untold] if silent else [])], rows["run_key"])
    lines = math.ceil(len(cells) / COLUMNS)
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 0.9 + 2.2 * lines, caption)
        panels = _axes(plots, len(cells))
        for axes, (_, cell) in zip(panels, cells.iterrows(), strict=True):
            _draw_cell(axes, rows[rows["cell"] == cell["cell"]])
            axes.set_title(cell["label"])
        panels[0].set_xlim(left=0)  # of all, once all is drawn: a limit that is set grows no more
        plots.suptitle(f"{sweep}  ·  {style.panel_title(*panel)}")
        plots.legend(handles=_handles(), loc="outside lower center", ncols=2, handlelength=3.5)
    return Drawn(layout.file_name(f"gold_and_proxy-{sweep}", panel), figure, rows)


def _axes(plots: SubFigure, n: int) -> list[Axes]:
    """Lay out n panels that share both axes."""
    wide, lines = min(n, COLUMNS), math.ceil(n / COLUMNS)
    grid = plots.subplots(lines, wide, sharex=True, sharey=True, squeeze=False).flatten()
    for spare in grid[n:]:
        spare.set_visible(False)
    for lowest in grid[max(0, n - wide) : n]:  # of its column, also where a panel below is not there
        lowest.tick_params(labelbottom=True)
        lowest.set_xlabel("d = √KL to the start")
    for first in grid[:n:wide]:
        first.set_ylabel("gain since the start")
    return list(grid[:n])


def _draw_cell(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the seeds of a setting and their mean, for both rewards."""
    palette = sns.color_palette("colorblind")
    axes.axhline(0, color="0.8", linewidth=0.7, zorder=0)
    for which in gold.WHICH:
        colour, dash = palette[COLOURS[which]], DASHES[which]
        for _, seed in rows.groupby("run_key"):
            axes.plot(seed["distance"], seed[which], color=colour, linestyle=dash, linewidth=0.6, alpha=0.55)
        mean = rows.drop_duplicates("step").sort_values("step")
        x, y = mean["distance_mean"], mean[f"{which}_mean"]
        axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.8, marker="o", markersize=3.5)
    sns.despine(ax=axes)


def _handles() -> list[Line2D]:
    palette = sns.color_palette("colorblind")
    return [
        Line2D([], [], color=palette[COLOURS[which]], linestyle=DASHES[which], linewidth=1.8, label=WORDS[which])
        for which in gold.WHICH
    ]
