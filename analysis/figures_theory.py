"""Figures of the theory: time separation, bounds on the gradient, distance of PPO's gradient. One shows one cell."""

from collections.abc import Hashable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from analysis import layout, style
from analysis.save import Drawn
from analysis.theory import BOUNDS, ERRORS, FLOOR, separation_axes, verdict_counts

TIMES = {
    "rft": ("reward std at the start", "time to the correct label, RFT"),
    "sft": ("ln(1 / reward std at the start)", "time to the correct label, SFT"),
}
METHODS = {"ode": "gradient flow", "descent": "gradient descent"}
FORMS = {"bound_std": r"bound with STD", "bound_two_thirds": r"bound with STD$^{2/3}$"}
GREY: dict = {"color": "0.45", "linewidth": 0.8}


def time_separation(points: pd.DataFrame, fits: pd.DataFrame) -> Drawn:
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
        plots.suptitle(_title(panel, points))
    both = drawn.merge(fits, on=[column for column in fits if column in drawn], how="left")
    return Drawn(layout.file_name("time_separation", panel) + _suffix(points), figure, both)


def gradient_bound(points: pd.DataFrame, algo: str) -> Drawn:
    """Draw each input's measured gradient norm against its bound, one panel per form of the bound.

    `points` is what `theory.bound_points` returns, of one cell; every point belongs under the diagonal.
    """
    panel = layout.single_panel(points)
    counts = verdict_counts(points, "grad_norm", ["form"])
    drawn = _drawable(points, "grad_norm")
    looks = _looks(sorted(drawn["group"].unique(), reverse=True))
    caption = layout.runs_caption(["A point is an input.", *_bound_notes(points, counts)], points["run_key"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 3.9, caption)
        grid = plots.subplots(1, len(BOUNDS), sharex=True, sharey=True)
        for axes, form in zip(grid, BOUNDS, strict=True):
            _draw_bound(axes, drawn[drawn["form"] == form], looks)
            axes.set(title=FORMS[form], xlabel="bound on the gradient norm")
        grid[0].set_ylabel("measured gradient norm")
        plots.suptitle(_title(panel, points))
        violated = bool((points["verdict"] == "violated").any())
        plots.legend(handles=_bound_handles(looks, violated), loc="outside lower center", ncols=3)
    kind = "gradient_bound" if algo == "gradient_bound" else "gradient_bound_sampled"
    return Drawn(layout.file_name(kind, panel) + _suffix(points), figure, points)


def ppo_gradient(points: pd.DataFrame) -> Drawn:
    """Draw the distance of PPO's gradient from that of the expected reward against the total variation distance.

    `points` is what `theory.ppo_points` returns, of one cell.
    """
    panel = layout.single_panel(points)
    counts = verdict_counts(points, "distance")
    drawn = _drawable(points[points["tv"] > 0], "distance")
    looks = _looks(sorted(drawn["clip_range"].unique()))
    notes = [f"A point is one policy and its start; {_counts_in_words(counts.iloc[0], 'distance')}"]
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 3.8, layout.runs_caption(notes, points["run_key"]))
        axes = plots.subplots()
        for clip_range, (colour, marker) in looks.items():
            _draw_distances(axes, drawn[drawn["clip_range"] == clip_range], colour, marker)
        axes.set(xlabel="total variation distance of the policy from its start", ylabel="distance of the gradients")
        _log_axes(axes)
        sns.despine(ax=axes)
        plots.suptitle(_title(panel, points))
        plots.legend(handles=_distance_handles(looks), loc="outside lower center", ncols=3)
    return Drawn(layout.file_name("ppo_gradient", panel) + _suffix(points), figure, points)


def _title(panel: tuple[str, str, str, str], points: pd.DataFrame) -> str:
    """Name the panel and, on a second line, what sets this cell apart from others of it."""
    variant = points["variant"].iloc[0]
    return "\n".join(filter(None, [style.panel_title(*panel), variant.replace(" ", "  ·  ")]))


def _suffix(points: pd.DataFrame) -> str:
    """Tell the files of a cell from those of the other cells of its panel, where there are any."""
    return f"-{points['cell'].iloc[0]}" if points["variant"].iloc[0] else ""


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


def _drawable(points: pd.DataFrame, value: str) -> pd.DataFrame:
    """Keep the points that have a place on logarithmic axes; a violation is never left out as rounding."""
    kept = (points[value] >= FLOOR) | ((points["verdict"] == "violated") & (points[value] > 0))
    return points[kept & (points["bound"] > 0) & (points["verdict"] != "unknown")]


def _log_axes(axes: Axes) -> None:
    """Make both axes logarithmic, with few enough ticks over many decades."""
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_major_locator(LogLocator(numticks=9))


def _looks(names: list) -> dict[Hashable, tuple[style.Colour, str]]:
    """Give each group or clip range a colour and a marker."""
    palette = sns.color_palette("colorblind")
    order = [0, 3, 2, 1, 4, 5, 6, 7, 8, 9]
    return {name: (palette[order[i % 10]], style.MARKERS[i % len(style.MARKERS)]) for i, name in enumerate(names)}


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
    _log_axes(axes)
    middle = points["grad_norm"].median() if len(points) else 1.0
    axes.axline((middle, middle), (2 * middle, 2 * middle), linestyle=(0, (3, 2)), **GREY, zorder=0)
    sns.despine(ax=axes)


def _bound_handles(looks: dict[Hashable, tuple[style.Colour, str]], violated: bool) -> list[Line2D]:
    """Build the legend of the bounds; rings only where something violates them."""
    points = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=_group_label(str(group)))
        for group, (colour, marker) in looks.items()
    ]
    ring: dict = {"markerfacecolor": "none", "markeredgecolor": "black", "markersize": 7}
    diagonal = Line2D([], [], linestyle=(0, (3, 2)), **GREY, label="bound = norm")
    rings = [Line2D([], [], marker="o", linestyle="", **ring, label="violates the bound")] if violated else []
    return [*points, diagonal, *rings]


def _group_label(group: str) -> str:
    """Name a group of inputs."""
    return f"inputs with a {style.GROUPS[group]}" if group in style.GROUPS else "inputs" if group == "all" else group


def _bound_notes(points: pd.DataFrame, counts: pd.DataFrame) -> list[str]:
    """Say how many norms lie above each form of the bound, and what is not drawn."""
    notes = [f"{BOUNDS[row['form']]}: {_counts_in_words(row, 'norm')}" for row in counts.to_dict("records")]
    estimated = bool((points["grad_error"] > 0).any())
    return notes + (
        [f"Norms are estimates, bar: one standard error; violated: by over {ERRORS:g}."] if estimated else []
    )


def _counts_in_words(row: pd.Series | dict, name: str) -> str:
    """Write the verdicts of one panel."""
    more = [f"{row['above']} above it within their error"] if row["above"] else []
    more += [f"{row['tiny']} with a {name} under {FLOOR:g}, not drawn"] if row["tiny"] else []
    more += [f"{row['unknown']} not finite"] if row["unknown"] else []
    first = f"{row['violated']} of {row['n']} violate the bound"
    worst = f"largest {name} / bound {row['worst']:.3g}"
    return f"{', '.join([first, *more, worst])}."


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
