"""The figures of the report: two histograms, the scatter of std against mean, measured gradients against bounds."""

import base64
import io
import textwrap
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.preflight import statistics
from analysis.preflight.contents import Contents, mean_edges, std_edges
from rftlab.runs.naming import NEAR_CHANCE

BINS = 24
GROUPS = ["stuck", "vanishing", "solved", "other"]
GROUP_COLOURS = {"stuck": 3, "vanishing": 3, "solved": 2, "other": 0}  # of the colour-blind palette
GROUP_MARKERS = {"stuck": "X", "vanishing": "X", "solved": "s", "other": "o"}
BOUNDS = {"bound_std": ("o", 0), "bound_two_thirds": ("^", 1)}  # marker, colour
BOUND_LABELS = {"bound_std": r"$\sqrt{2}\,L\gamma\,$STD", "bound_two_thirds": r"$6\,L\gamma\,$STD$^{2/3}$"}
PANEL = (4.4, 3.3)  # inches, of a panel of the page
Panel = Callable[[Axes, pd.DataFrame, Contents], None]


def rows(contents: Contents) -> pd.DataFrame:
    """Return what is drawn of the prompts: one row each, with its group."""
    measured, setting = contents.measured, contents.setting
    drawn = measured.prompts.assign(group=statistics.group(measured.prompts, setting), run_key=setting.run_key)
    return drawn[["run_key", "prompt_id", "reward_mean", "reward_std", "n_samples", "group"]]


def overview(contents: Contents, name: str) -> Drawn:
    """Draw all panels in one figure."""
    drawn, setting = rows(contents), contents.setting
    panels = _panels(contents)
    height = 2.9 if len(panels) == 3 else 5.4
    shape = (1, 3) if len(panels) == 3 else (2, 2)
    caption = layout.runs_caption(
        [f"A point or count is one of {len(drawn)} train prompts, {setting.n_samples} samples each."],
        pd.Series([setting.run_key]),
    )
    with style.print_style():
        figure, upper = layout.with_caption(style.WIDTH, height, caption)
        for axes, (_, _, draw) in zip(upper.subplots(*shape).ravel(), panels, strict=True):
            draw(axes, drawn, contents)
            sns.despine(ax=axes)
        words = style.panel_title(setting.scale, setting.source, setting.data, setting.model)
        words += f"  ·  {NEAR_CHANCE}" if setting.near_chance else ""
        upper.suptitle("\n".join(textwrap.wrap(words, 100)))
        upper.legend(handles=_handles(drawn, setting.std_below), loc="outside lower center", ncols=4)
    return Drawn(name, figure, drawn)


def page_panels(contents: Contents) -> list[tuple[str, str, str]]:
    """Draw every panel by itself and return its name, what it shows, and the PNG as base64."""
    drawn = rows(contents)
    return [(name, shows, _panel(draw, drawn, contents)) for name, shows, draw in _panels(contents)]


def _panels(contents: Contents) -> list[tuple[str, str, Panel]]:
    """Name the panels that there is something for."""
    panels: list[tuple[str, str, Panel]] = [
        ("std", "Histogram of the reward std of the prompts", _draw_std),
        ("mean", "Histogram of the reward mean of the prompts", _draw_mean),
        ("scatter", "Reward mean of each prompt against its reward std", _draw_scatter),
    ]
    if contents.measured.cases is not None:
        panels.append(("gradients", "Measured gradient norms against their two bounds", _draw_gradients))
    return panels


def _panel(draw: Panel, drawn: pd.DataFrame, contents: Contents) -> str:
    """Draw one panel as a PNG in base64."""
    buffer = io.BytesIO()
    with style.print_style():
        figure = Figure(figsize=PANEL, layout="constrained")
        axes = figure.subplots()
        draw(axes, drawn, contents)
        sns.despine(ax=axes)
        if draw is not _draw_gradients:
            with_line = _handles(drawn, contents.setting.std_below)
            handles = list(_group_handles(drawn)) if draw is _draw_mean else with_line
            figure.legend(handles=handles, loc="outside lower center", ncols=2)
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _draw_std(axes: Axes, drawn: pd.DataFrame, contents: Contents) -> None:
    """Draw the histogram of the std; the threshold is an edge."""
    threshold = contents.setting.std_below
    _histogram(axes, drawn, "reward_std", std_edges(drawn["reward_std"].max(), threshold, BINS))
    _threshold(axes, threshold)
    axes.set(xlabel="reward std of a prompt", ylabel="prompts")


def _draw_mean(axes: Axes, drawn: pd.DataFrame, contents: Contents) -> None:
    """Draw the histogram of the mean."""
    _histogram(axes, drawn, "reward_mean", mean_edges(drawn["reward_mean"].to_numpy(), BINS))
    axes.set(xlabel="reward mean of a prompt", ylabel="prompts")


def _histogram(axes: Axes, drawn: pd.DataFrame, column: str, edges: np.ndarray) -> None:
    """Stack the groups in one histogram."""
    groups = _groups(drawn)
    values = [drawn.loc[drawn["group"] == name, column].to_numpy() for name in groups]
    colours = [_colour(name) for name in groups]
    axes.hist(values, bins=list(edges), stacked=True, color=colours, edgecolor="white", linewidth=0.4)


def _draw_scatter(axes: Axes, drawn: pd.DataFrame, contents: Contents) -> None:
    """Draw mean against std, those that vanish on top."""
    for name in reversed(_groups(drawn)):
        points = drawn[drawn["group"] == name]
        axes.scatter(
            points["reward_std"],
            points["reward_mean"],
            color=_colour(name),
            marker=GROUP_MARKERS[name],
            s=14 if len(drawn) < 1000 else 6,
            alpha=0.6,
            linewidth=0,
            rasterized=True,
        )
    _threshold(axes, contents.setting.std_below)
    axes.set(xlabel="reward std of a prompt", ylabel="reward mean of a prompt")
    axes.set_xlim(left=-0.02 * max(drawn["reward_std"].max(), contents.setting.std_below))


def _draw_gradients(axes: Axes, drawn: pd.DataFrame, contents: Contents) -> None:
    """Draw measured norms against both bounds on two logarithmic axes; what is 0 has no place there.

    The bound goes across and the norm up, as the std goes across everywhere else here. `figures/gradient_bound.py`
    draws groups of many cases, with one panel per form of the bound and its violations counted; this one draws both
    forms of a handful of noisy cases in one small panel of the report.
    """
    cases = contents.measured.cases
    if cases is None:
        return
    seen: list[float] = []
    missing = 0
    for column, (marker, colour) in BOUNDS.items():
        there = np.isfinite(cases[column]) & (cases[column] > 0) & (cases["grad_norm"] > 0)
        points, missing = cases[there], max(missing, int((~there).sum()))
        norms = points["grad_norm"].to_numpy()
        lower = np.minimum(points["grad_error"].fillna(0), 0.999 * norms)  # an error bar may not reach 0
        axes.errorbar(
            points[column],
            norms,
            yerr=[lower, points["grad_error"].fillna(0)],
            fmt=marker,
            color=sns.color_palette("colorblind")[colour],
            markersize=4,
            elinewidth=0.6,
            label=BOUND_LABELS[column],
        )
        seen += [*points[column], *norms]
    axes.set(xlabel="bound on the norm", ylabel="measured gradient norm")
    if not seen:
        axes.text(
            0.5,
            0.5,
            "every norm or bound is zero by the sample, or unknown",
            ha="center",
            va="center",
            transform=axes.transAxes,
        )
        return
    ends = [min(seen) / 2, max(seen) * 2]
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=[ends[0], ends[1]])
    axes.plot(ends, ends, color="0.45", linewidth=0.8, linestyle=(0, (3, 2)), label="norm = bound")
    axes.legend(loc="upper left", title=f"not drawn: {missing}, zero by the sample or unknown" if missing else None)


def _threshold(axes: Axes, std_below: float) -> None:
    axes.axvline(std_below, color="0.45", linewidth=0.8, linestyle=(0, (3, 2)))


def _groups(drawn: pd.DataFrame) -> list[str]:
    """Return the groups that are there, in their order."""
    there = set(drawn["group"])
    return [name for name in GROUPS if name in there]


def _colour(name: str) -> tuple[float, float, float]:
    return sns.color_palette("colorblind")[GROUP_COLOURS[name]]


def _handles(drawn: pd.DataFrame, std_below: float) -> list[Line2D]:
    """Build the legend: groups with their counts, and the threshold."""
    line = Line2D([], [], color="0.45", linewidth=0.8, linestyle=(0, (3, 2)), label=f"std = {std_below:g}")
    return [*_group_handles(drawn), line]


def _group_handles(drawn: pd.DataFrame) -> Iterable[Line2D]:
    for name in _groups(drawn):
        count = int((drawn["group"] == name).sum())
        yield Line2D([], [], color=_colour(name), marker=GROUP_MARKERS[name], linestyle="", label=f"{name} (n={count})")
