"""Curves of cells over steps: up to four share a plot, more are small plots of the same axes.

Where cells differ in one number alone, colours follow its order. Where they differ in two settings, a small plot is a
value of one and a colour a value of the other. Where they differ in more, a small plot is a cell, the others in grey.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.drawing import layout, style

TOGETHER = 4  # more cells than this overlap in one plot
MOST_COLOURS = 7  # in a small plot
ACROSS = 4  # small plots beside each other
SMALL_HEIGHT = 1.45  # inches, of a small plot with its title
SMALL_LABEL = 20  # characters of a line of the label of its axis
ALGORITHM, HEURISTIC = "algorithm", "heuristic"  # as settings, beside the keys of a variant
OTHERS = "0.85"  # grey of the cells that a small plot is not about


@dataclass(frozen=True)
class Facets:
    """Which cells a plot shows, in what colours; one entry without a title: all of them together."""

    plots: tuple[tuple[str, tuple[str, ...]], ...]  # title, cells
    looks: style.Looks
    handles: tuple[Line2D, ...]
    around: bool = False  # a plot shows the other cells in grey

    @property
    def notes(self) -> list[str]:
        """Say what grey lines are."""
        return ["Grey: the other settings."] if self.around else []

    @property
    def columns(self) -> int:
        """Small plots beside each other, so that the last row is as full as can be."""
        count = len(self.plots)
        return min(count, 3 if count in (5, 6, 9) else ACROSS)

    def height(self, metrics: int) -> float:
        """Inches of the plots of so many metrics with their legend."""
        legend = 0.17 * math.ceil(len(self.handles) / 2)
        if len(self.plots) == 1:
            return 2.9 + legend
        return 0.7 + legend + SMALL_HEIGHT * metrics * math.ceil(len(self.plots) / self.columns)


def facets(cells: pd.DataFrame) -> Facets:
    """Part cells, rows of `layout.cells`, into plots."""
    looks = style.looks(list(cells["hue"]), list(cells["heuristic"]))
    settings = _differing(cells)
    keys = list(settings.columns)
    if len(keys) == 1 and _numeric(settings[keys[0]]):
        looks = replace(looks, palette=_palette(cells, settings[keys[0]]))
    if len(cells) <= TOGETHER:
        handles = tuple(layout.line_handle(cell, looks) for _, cell in cells.iterrows())
        return Facets((("", tuple(cells["cell"])),), looks, handles)
    if len(keys) == 2 and not settings.duplicated().any():
        by, colour = sorted(keys, key=lambda key: _rank(key, settings[key]))
        if settings[colour].nunique() <= MOST_COLOURS:
            return _by_setting(cells, settings, by, colour, looks)
    return Facets(tuple((row["label"], (row["cell"],)) for _, row in cells.iterrows()), looks, (), around=True)


def _rank(key: str, values: pd.Series) -> tuple[bool, bool, int]:
    """Order two settings: the first is that of the plots. Heuristics have dashes of their own, numbers colours."""
    return key != HEURISTIC, _numeric(values), values.nunique()


def _by_setting(cells: pd.DataFrame, settings: pd.DataFrame, by: str, colour: str, looks: style.Looks) -> Facets:
    own = dict(zip(cells["hue"], _of_algorithms(cells), strict=True)) if colour == ALGORITHM else None
    looks = replace(looks, palette=own or _palette(cells, settings[colour]))
    plots = []
    for value in _in_order(settings[by]):
        here = cells[settings[by] == value]
        seeds = layout.span(int(here["min"].min()), int(here["max"].max()))
        plots.append((f"{_named(by, value)} (n={seeds})", tuple(here["cell"])))
    handles = []
    for value in _in_order(settings[colour]):
        cell = cells[settings[colour] == value].iloc[0]
        handles.append(layout.line_handle(cell.where(cell.index != "label", _named(colour, value)), looks))
    return Facets(tuple(plots), looks, tuple(handles))


def draw(
    plots: SubFigure,
    curves: pd.DataFrame,
    cells: pd.DataFrame,
    parts: Facets,
    labels: dict[str, str],
    finish: Callable[[Axes], None] | None = None,
) -> None:
    """Draw metrics of cells: a plot, or a block of small ones, for each metric.

    Args:
        plots: what to draw in, `Facets.height` high.
        curves: columns metric, step, mean, min, max and, for bars, low and high, with those of cells.
        cells: what `layout.cells` returns.
        parts: what `facets` made of the cells.
        labels: the label of the y axis of each metric; their order is that of the plots.
        finish: sets limits and ticks of a plot.
    """
    curves = curves.merge(cells[["cell", "hue"]], on="cell")
    if len(parts.plots) == 1:
        grid = plots.subplots(1, len(labels), sharex=True, squeeze=False)
        for axes, metric in zip(grid[0], labels, strict=True):
            values = curves[curves["metric"] == metric]
            layout.draw_metric(axes, values, parts.looks)
            axes.set(xlabel=layout.step_label(cells), ylabel=labels[metric], **_limits(values))
            _finish(axes, finish)
    else:
        _draw_small(plots, curves, cells, parts, labels, finish)
    if parts.handles:
        columns = 2 if len(parts.plots) == 1 else min(len(parts.handles), ACROSS)
        plots.legend(handles=list(parts.handles), loc="outside lower center", ncols=columns, handlelength=3.5)


def _draw_small(
    plots: SubFigure,
    curves: pd.DataFrame,
    cells: pd.DataFrame,
    parts: Facets,
    labels: dict[str, str],
    finish: Callable[[Axes], None] | None,
) -> None:
    rows = math.ceil(len(parts.plots) / parts.columns)
    grid = plots.subplots(rows * len(labels), parts.columns, sharex=True, squeeze=False)
    for number, metric in enumerate(labels):
        block = grid[number * rows : (number + 1) * rows].ravel()
        values = curves[curves["metric"] == metric]
        for place, axes in enumerate(block):
            if place >= len(parts.plots):
                axes.set_axis_off()
                continue
            title, members = parts.plots[place]
            inside = values["cell"].isin(members)
            for _, line in values[~inside].groupby("cell") if parts.around else ():
                axes.plot(line["step"], line["mean"], color=OTHERS, linewidth=0.8, zorder=0)
            layout.draw_metric(axes, values[inside], parts.looks)
            axes.set_title(title)
            leftmost, lowest = place % parts.columns == 0, place + parts.columns >= len(parts.plots)
            axes.set(
                xlabel=layout.step_label(cells) if lowest and number == len(labels) - 1 else "",
                ylabel=textwrap.fill(labels[metric], SMALL_LABEL) if leftmost else "",
                **_limits(values),
            )
            _finish(axes, finish)
            axes.tick_params(labelleft=leftmost, labelbottom=lowest)


def _limits(values: pd.DataFrame) -> dict[str, tuple[float, float]]:
    return {} if values.empty else {"ylim": layout.limits(values)}


def _finish(axes: Axes, finish: Callable[[Axes], None] | None) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if finish is not None:
        finish(axes)
    sns.despine(ax=axes)


# --- settings of cells ----------------------------------------------------------------------------------------------


def _differing(cells: pd.DataFrame) -> pd.DataFrame:
    """Give the settings in which cells differ, a row per cell: algorithm, heuristic, keys of their variants."""
    rows = [
        {ALGORITHM: cell["algo"], HEURISTIC: cell["heuristic"]}
        | {key: value for key, _, value in (word.partition("=") for word in cell["variant"].split())}
        for _, cell in cells.iterrows()
    ]
    settings = pd.DataFrame(rows, index=cells.index).fillna("")
    return settings.loc[:, settings.nunique() > 1]


def _numeric(values: pd.Series) -> bool:
    return bool(pd.to_numeric(values, errors="coerce").notna().all())


def _in_order(values: pd.Series) -> Sequence[str]:
    """Put numbers in order; words stay in the order of the cells."""
    distinct = list(values.drop_duplicates())
    return sorted(distinct, key=float) if _numeric(values) else distinct


def _palette(cells: pd.DataFrame, values: pd.Series) -> dict[str, style.Colour]:
    """Colour the hues of cells by a setting: numbers by their order, words by a palette of distinct colours."""
    order = _in_order(values)
    several = sns.color_palette("viridis", len(order) + 1) if _numeric(values) else sns.color_palette("colorblind")
    return {hue: several[order.index(value)] for hue, value in zip(cells["hue"], values, strict=True)}


def _of_algorithms(cells: pd.DataFrame) -> list[style.Colour]:
    """Give each cell the colour that its algorithm has in every figure."""
    own = style.colours(list(cells["algo"]))
    return [own[algo] for algo in cells["algo"]]


def _named(key: str, value: str) -> str:
    """Write a value of a setting for a title or a legend."""
    if key == ALGORITHM:
        return style.name(value)
    if key == HEURISTIC:
        return style.heuristic_label(value)
    return style.override_in_words(f"{key}={value}") if value else f"{key.rpartition('.')[2]} as elsewhere"
