"""The measured gradient norm of each input against the two forms of Theorem 1's bound (Razin et al. 2024).

The caption counts violations, which are ringed. `gradient_bound_sampled-*` shows the prompts of diagnoses, whose norms
are estimates, with their standard error.
"""

from collections.abc import Hashable, Iterator
from functools import partial

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.drawing import cell, layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import of_cells
from analysis.missing.wanted import of_theory
from analysis.statistics import stats, theory
from analysis.statistics.frames import Frames
from analysis.statistics.theory import BOUNDS, ERRORS, verdict_counts

FORMS = {"bound_std": r"bound with STD", "bound_two_thirds": r"bound with STD$^{2/3}$"}
KINDS = {"theory": "gradient_bound", "diagnose": "gradient_bound_sampled"}  # by family: file names
WANTED = (of_theory("gradient_bound"),)  # no diagnosis: these are made where somebody asks for one


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each cell of each algorithm that measured gradients beside these bounds."""
    for cases in stats.parts(frames.cases, ["family", "algo"]):
        family = cases["family"].iloc[0]
        if family in KINDS and cases.reindex(columns=[*BOUNDS]).notna().any(axis=None):
            yield from of_cells(theory.bound_points(cases), partial(picture, kind=KINDS[family]))


def picture(points: pd.DataFrame, kind: str) -> Drawn:
    """Draw each input's measured gradient norm against its bound, one panel per form of the bound.

    `points` is what `theory.bound_points` returns, of one cell; every point belongs under the diagonal. `kind` begins
    the file name.
    """
    panel = layout.single_panel(points)
    counts = verdict_counts(points, "grad_norm", ["form"])
    drawn = cell.drawable(points, "grad_norm")
    looks = cell.looks(sorted(drawn["group"].unique(), reverse=True))
    caption = layout.runs_caption(["A point is an input.", *_bound_notes(points, counts)], points["run_key"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 3.9, caption)
        grid = plots.subplots(1, len(BOUNDS), sharex=True, sharey=True)
        for axes, form in zip(grid, BOUNDS, strict=True):
            _draw_bound(axes, drawn[drawn["form"] == form], looks)
            axes.set(title=FORMS[form], xlabel="bound on the gradient norm")
        grid[0].set_ylabel("measured gradient norm")
        plots.suptitle(cell.title(panel, points))
        violated = bool((points["verdict"] == "violated").any())
        plots.legend(handles=_bound_handles(looks, violated), loc="outside lower center", ncols=3)
    return Drawn(layout.file_name(kind, panel) + cell.suffix(points), figure, points)


def _draw_bound(axes: Axes, points: pd.DataFrame, looks: dict[Hashable, tuple[style.Colour, str]]) -> None:
    """Draw the points of one form of the bound, errors where the norms are estimates, and the diagonal."""
    size = 14 if len(points) < 500 else 7
    for group, (colour, marker) in looks.items():
        rows = points[points["group"] == group]
        known = rows[rows["grad_error"] > 0]
        low = np.maximum(known["grad_norm"] - known["grad_error"], known["grad_norm"] * 1e-3)
        ends = (low, known["grad_norm"] + known["grad_error"])
        axes.vlines(known["bound"], *ends, color=colour, linewidth=0.6, alpha=0.35)
        axes.scatter(
            rows["bound"],
            rows["grad_norm"],
            s=size,
            color=colour,
            marker=marker,
            alpha=0.6 if len(points) < 500 else 0.3,
            linewidth=0,
            rasterized=True,
        )
    bad = points[points["verdict"] == "violated"]
    axes.scatter(bad["bound"], bad["grad_norm"], s=40, facecolor="none", edgecolor="black", linewidth=0.8, zorder=4)
    cell.log_axes(axes)
    middle = points["grad_norm"].median() if len(points) else 1.0
    axes.axline((middle, middle), (2 * middle, 2 * middle), linestyle=(0, (3, 2)), **cell.GREY, zorder=0)
    sns.despine(ax=axes)


def _bound_handles(looks: dict[Hashable, tuple[style.Colour, str]], violated: bool) -> list[Line2D]:
    """Build the legend of the bounds; rings only where something violates them."""
    points = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=_group_label(str(group)))
        for group, (colour, marker) in looks.items()
    ]
    ring: dict = {"markerfacecolor": "none", "markeredgecolor": "black", "markersize": 7}
    diagonal = Line2D([], [], linestyle=(0, (3, 2)), **cell.GREY, label="bound = norm")
    rings = [Line2D([], [], marker="o", linestyle="", **ring, label="violates the bound")] if violated else []
    return [*points, diagonal, *rings]


def _group_label(group: str) -> str:
    """Name a group of inputs."""
    return f"inputs with a {style.GROUPS[group]}" if group in style.GROUPS else "inputs" if group == "all" else group


def _bound_notes(points: pd.DataFrame, counts: pd.DataFrame) -> list[str]:
    """Say how many norms lie above each form of the bound, and what is not drawn."""
    notes = [f"{BOUNDS[row['form']]}: {cell.counts_in_words(row, 'norm')}" for row in counts.to_dict("records")]
    estimated = bool((points["grad_error"] > 0).any())
    return notes + (
        [f"Norms are estimates, bar: one standard error; violated: by over {ERRORS:g}."] if estimated else []
    )
