"""Distance of PPO's gradient from that of the expected reward against the total variation distance, with its bound."""

from collections.abc import Hashable, Iterator

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.drawing import cell, layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import of_cells
from analysis.missing.wanted import of_theory
from analysis.statistics import theory
from analysis.statistics.frames import Frames
from analysis.statistics.theory import verdict_counts

WANTED = (of_theory("ppo_gradient"),)


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each cell."""
    return of_cells(theory.ppo_points(frames.cases), picture)


def picture(points: pd.DataFrame) -> Drawn:
    """Draw the distance of PPO's gradient from that of the expected reward against the total variation distance.

    `points` is what `theory.ppo_points` returns, of one cell.
    """
    panel = layout.single_panel(points)
    counts = verdict_counts(points, "distance")
    drawn = cell.drawable(points[points["tv"] > 0], "distance")
    looks = cell.looks(sorted(drawn["clip_range"].unique()))
    notes = [f"A point is one policy and its start; {cell.counts_in_words(counts.iloc[0], 'distance')}"]
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 3.8, layout.runs_caption(notes, points["run_key"]))
        axes = plots.subplots()
        for clip_range, (colour, marker) in looks.items():
            _draw_distances(axes, drawn[drawn["clip_range"] == clip_range], colour, marker)
        axes.set(xlabel="total variation distance of the policy from its start", ylabel="distance of the gradients")
        cell.log_axes(axes)
        sns.despine(ax=axes)
        plots.suptitle(cell.title(panel, points))
        plots.legend(handles=_distance_handles(looks), loc="outside lower center", ncols=3)
    return Drawn(layout.file_name("ppo_gradient", panel) + cell.suffix(points), figure, points)


def _draw_distances(axes: Axes, points: pd.DataFrame, colour: style.Colour, marker: str) -> None:
    """Draw the distances under one clip range with their bound: a line where it is proportional to the distance."""
    size = 12 if len(points) < 500 else 6
    look: dict = {"color": colour, "alpha": 0.55, "linewidth": 0, "rasterized": True}
    axes.scatter(points["tv"], points["distance"], s=size, marker=marker, **look)
    ratio = points["bound"] / points["tv"]
    if np.ptp(ratio) <= 1e-6 * ratio.max():
        ends = points.sort_values("tv").iloc[[0, -1]]
        axes.plot(ends["tv"], ends["bound"], color=colour, linewidth=1.2)
    else:
        axes.scatter(points["tv"], points["bound"], s=14, marker="_", color=colour, linewidth=0.8, rasterized=True)


def _distance_handles(looks: dict[Hashable, tuple[style.Colour, str]]) -> list[Line2D]:
    """Build the legend of the distances."""
    measured = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=f"measured, clip range {clip_range:g}")
        for clip_range, (colour, marker) in looks.items()
    ]
    bounds = [
        Line2D([], [], color=colour, linewidth=1.2, label=f"bound, clip range {clip_range:g}")
        for clip_range, (colour, _) in looks.items()
    ]
    return [handle for pair in zip(measured, bounds, strict=True) for handle in pair]
