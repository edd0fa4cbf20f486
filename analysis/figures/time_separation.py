"""Time until the correct label leads against the reward std of the start (Razin et al. 2024, section 4.3).

Gradient flow is a line with its slope, gradient descent markers.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from analysis.drawing import cell, layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import of_cells
from analysis.missing.wanted import of_theory
from analysis.statistics import theory
from analysis.statistics.frames import Frames
from analysis.statistics.theory import separation_axes

TIMES = {
    "rft": ("reward std at the start", "time to the correct label, RFT"),
    "sft": ("ln(1 / reward std at the start)", "time to the correct label, SFT"),
}
METHODS = {"ode": "gradient flow", "descent": "gradient descent"}
WANTED = (of_theory("time_separation"),)


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each cell."""
    points, fits = frames.once(theory.separation)
    return of_cells(points, lambda here: picture(here, _fits_of(here, fits)))


def _fits_of(points: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """Keep the fits of the one cell of these points, under the same words."""
    first = points.iloc[0]
    return fits[fits["cell"] == first["cell"]].assign(variant=first["variant"])


def picture(points: pd.DataFrame, fits: pd.DataFrame) -> Drawn:
    """Draw the time until the correct label is the most probable one against the initial std, for RFT and SFT.

    `points` and `fits` are what `theory.separation_points` and `theory.separation_fits` return, of one cell.
    """
    panel = layout.single_panel(points)
    drawn = points[points["n"] > 0].reset_index(drop=True)
    never = int(points["n_nonfinite"].sum())
    notes = [
        "Slopes: least squares of ln(time) on ln(std) for RFT, of time on ln(1/std) for SFT,"
        " 95 % interval of the fit (nothing here is sampled: it says how straight the points are)."
    ]
    notes += [f"{never} simulations ended before the correct label led; these are not drawn."] if never else []
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 3.1, layout.runs_caption(notes, points["run_keys"]))
        for axes, (objective, (xlabel, ylabel)) in zip(plots.subplots(1, len(TIMES)), TIMES.items(), strict=True):
            here, lines = (frame[frame["objective"] == objective] for frame in (drawn, fits))
            _draw_times(axes, here, lines)
            axes.set(xlabel=xlabel, ylabel=ylabel)
            if objective == "rft" and len(here):
                axes.set(xscale="log", yscale="log")
            sns.despine(ax=axes)
        plots.suptitle(cell.title(panel, points))
    both = drawn.merge(fits, on=[column for column in fits if column in drawn], how="left")
    return Drawn(layout.file_name("time_separation", panel) + cell.suffix(points), figure, both)


def _draw_times(axes: Axes, points: pd.DataFrame, fits: pd.DataFrame) -> None:
    """Draw the times of one objective: the flow as a line, descent as markers, each with its slope in the legend."""
    palette = sns.color_palette("colorblind")
    looks: dict[str, dict] = {
        "ode": {"color": palette[0], "linewidth": 1.4},
        "descent": {"color": palette[3], "marker": "o"},
    }
    for method, look in looks.items():
        rows = points[points["method"] == method].sort_values("std")
        if rows.empty:
            continue
        x = rows["std"] if (rows["objective"] == "rft").all() else separation_axes(rows)[0]
        style_of: dict = {"linestyle": "", "markersize": 5, "markeredgecolor": "white"} if method == "descent" else {}
        label = f"{METHODS[method]}: {_fit_in_words(method, fits[fits['method'] == method])}"
        axes.plot(x, rows["time"], label=label, **look, **style_of)
    if len(points):
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), handlelength=1.6)  # above: inside it hides points


def _fit_in_words(method: str, fit: pd.DataFrame) -> str:
    """Write the slope of the flow with its interval, and how far descent, on fewer points, is off the flow."""
    if method == "descent" and len(fit) and np.isfinite(fit["off_flow"].iloc[0]):
        return f"at most {fit['off_flow'].iloc[0]:.1%} off the flow"
    if fit.empty or np.isnan(fit["slope"].iloc[0]):
        return "too few points for a slope"
    row = fit.iloc[0]
    return f"slope {row['slope']:.3f} [{row['slope_low']:.3f}, {row['slope_high']:.3f}]"
