"""Pictures of a grid of settings: a curve, a heat map, or points in rows, with seeds and intervals over them."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.statistics.axes import Axis, Grid
from rftlab.runs.naming import source_in_words

MOST_ROWS = 40  # of points in rows: more would not fit a page
MOST_HUES = 7
SEED_SIZE = 4
LEAST_REACH = 0.05  # of the axis of a metric, in parts of its largest value
SLANT = 30  # degrees, of words under an axis
OFFSET = 0.05  # of a hue from the next, in parts of the distance of two values


def picture(grid: Grid, x: str | None = None, hue: str | None = None) -> Drawn:
    """Draw a grid in the way that its axes ask for; `x` and `hue` name axes and ask for a curve per hue."""
    if x is not None and (hue is not None or _axis(grid, x).numeric):
        return _drawn(grid, *_curve_of(grid, _axis(grid, x), _axis(grid, hue) if hue else None))
    numeric = [axis for axis in grid.axes if axis.numeric and len(axis.values) > 1]
    others = [axis for axis in grid.axes if axis not in numeric]
    if len(grid.axes) == 2 and len(numeric) == 2:
        return _drawn(grid, *_heat_map(grid, *sorted(numeric, key=lambda axis: len(axis.values))))
    if len(numeric) == 1 and len(others) <= 1 and all(len(axis.values) <= MOST_HUES for axis in others):
        return _drawn(grid, *_curve_of(grid, numeric[0], others[0] if others else None))
    return _drawn(grid, *_points(grid))


def _axis(grid: Grid, key: str) -> Axis:
    return next(axis for axis in grid.axes if axis.key == key)


def _drawn(grid: Grid, plots: SubFigure, data: pd.DataFrame) -> Drawn:
    runs = grid.runs
    scale, source, data_name, _ = runs[["scale", "source", "data", "model"]].iloc[0]
    models = ", ".join(sorted(runs["model"].unique()))
    title = [grid.sweep, style.name(data_name), f"model {models}", f"scale {scale}", source_in_words(source)]
    title += [f"reward {grid.part}"] if grid.part > 1 else []
    with style.print_style():
        plots.suptitle("  ·  ".join(title))
    name = "-".join(["sweep_axes", grid.sweep, *(axis.key for axis in grid.axes), data_name, scale, source])
    name += f"-reward{grid.part}" if grid.part > 1 else ""
    return Drawn(name, plots.figure.figure, data)


def _begin(grid: Grid, height: float, notes: Sequence[str]) -> SubFigure:
    counts = sorted(grid.cells["n"].unique())
    said = [*notes]
    if counts[-1] > 1:
        seeds = f"n = {layout.span(int(counts[0]), int(counts[-1]))} seeds"
        said.append(f"{seeds}; interval: 95 % of the mean over seeds (Student's t).")
    if counts[0] == 1:
        said.append("n = 1: one seed has no interval." if counts[-1] == 1 else "One seed has no interval.")
    said += [f"A seed's number is its mean over {', '.join(grid.averaged)}."] if grid.averaged else []
    _, plots = layout.with_caption(style.WIDTH, height, layout.runs_caption(said, grid.cells["run_keys"]))
    return plots


def _data(grid: Grid) -> pd.DataFrame:
    """Give what is drawn: a row per seed, beside it its cell."""
    names = [axis.key for axis in grid.axes]
    seeds = grid.runs[[*names, "seed", "value", "run_keys", *stats_columns(grid)]]
    return seeds.merge(grid.cells.drop(columns="run_keys"), on=names)


def stats_columns(grid: Grid) -> list[str]:
    """Name the columns that say what the numbers are of."""
    return [name for name in ("scale", "source", "data", "model", "variant") if name in grid.runs]


# --- a curve --------------------------------------------------------------------------------------------------------


def _curve_of(grid: Grid, x: Axis, hue: Axis | None) -> tuple[SubFigure, pd.DataFrame]:
    with style.print_style():
        plots = _begin(grid, 3.6, ["Hollow points: seeds; full points: their mean."])
        axes = plots.subplots()
        places = _places(axes, x)
        hues = hue.values if hue else (None,)
        colours = _colours(hue)
        for number in range(len(hues)):
            label = None if hue is None else hue.labels[number]
            cells = grid.cells if hue is None else grid.cells[grid.cells[hue.key] == label]
            seeds = grid.runs if hue is None else grid.runs[grid.runs[hue.key] == label]
            shift = number - (len(hues) - 1) / 2
            _draw_curve(axes, x, places, cells, seeds, colours[number], label, shift)
        axes.set(xlabel=x.key, ylabel=_label(grid), ylim=_widened(*axes.get_ylim()))
        if hue is not None:
            axes.legend(title=hue.key)
        sns.despine(ax=axes)
    return plots, _data(grid)


def draw_curve(axes: Axes, grid: Grid, x: Axis) -> None:
    """Draw a grid of one numeric axis into a plot: seeds, their mean and its interval."""
    (colour,) = _colours(None)
    _draw_curve(axes, x, _places(axes, x), grid.cells, grid.runs, colour, None, 0.0)
    axes.set(xlabel=x.key, ylabel=_label(grid), ylim=_widened(*axes.get_ylim()))
    sns.despine(ax=axes)


def _places(axes: Axes, x: Axis) -> list[float]:
    """Put the values on the axis: by their logarithm where they grow by ratios, else evenly where words or uneven."""
    steps = np.diff([float(value) for value in x.values]) if x.numeric else np.array([0.0, 1.0])
    even = x.numeric and len(set(np.round(steps / steps.max(), 6))) == 1
    if x.geometric:
        axes.set_xscale("log")
        places = [float(value) for value in x.values]
    else:
        places = [float(value) for value in x.values] if even else [float(i) for i in range(len(x.values))]
    axes.set_xticks(places, x.labels)
    if not x.numeric:
        axes.tick_params(axis="x", rotation=SLANT)
    axes.minorticks_off()
    return places


def _draw_curve(
    axes: Axes, x: Axis, places: list[float], cells: pd.DataFrame, seeds: pd.DataFrame, colour: style.Colour,
    label: str | None, shift: float,
) -> None:  # fmt: skip
    at = dict(zip(x.labels, _shifted(places, shift, geometric=x.geometric), strict=True))
    ordered = cells.assign(at=cells[x.key].map(at)).sort_values("at")
    _draw_seeds(axes, seeds[x.key].map(at), seeds["value"], colour)
    reach = [ordered["mean"] - ordered["low"], ordered["high"] - ordered["mean"]]
    axes.errorbar(
        ordered["at"], ordered["mean"], yerr=reach, color=colour, marker="o", markersize=6, capsize=3, label=label,
        linestyle="-" if x.numeric else "", linewidth=1.3,  # words are not one behind the other
    )  # fmt: skip


def _draw_seeds(axes: Axes, x: pd.Series, y: pd.Series, colour: style.Colour) -> None:
    """Draw seeds above the interval of their mean."""
    axes.plot(x, y, "o", color=colour, markersize=SEED_SIZE, markerfacecolor="white", zorder=3)


def _shifted(places: list[float], shift: float, *, geometric: bool) -> list[float]:
    """Move the points of a hue aside, so that intervals do not cover each other."""
    if geometric:
        ratio = min(high / low for low, high in itertools.pairwise(places))
        return [place * ratio ** (OFFSET * shift) for place in places]
    gap = min(high - low for low, high in itertools.pairwise(places))
    return [place + OFFSET * gap * shift for place in places]


def _colours(hue: Axis | None) -> list[style.Colour]:
    """Colour numbers by their order, words by a palette of distinct colours."""
    if hue is None:
        return list(sns.color_palette("colorblind", 1))
    if hue.numeric:
        return list(sns.color_palette("viridis", len(hue.values) + 1))[: len(hue.values)]
    return list(sns.color_palette("colorblind", len(hue.values)))


# --- a heat map -----------------------------------------------------------------------------------------------------


def _heat_map(grid: Grid, y: Axis, x: Axis) -> tuple[SubFigure, pd.DataFrame]:
    """Colour a field per pair of values, with mean, interval and n written into it."""
    with style.print_style():
        note = "A field: mean over seeds, its interval and n; empty where no run is finished."
        plots = _begin(grid, 0.75 * len(y.values) + 1.3, [note])
        axes = plots.subplots()
        table = grid.cells.pivot(index=y.key, columns=x.key, values="mean").reindex(
            index=y.labels[::-1], columns=x.labels
        )
        words = pd.DataFrame("", index=table.index, columns=table.columns)
        for cell in grid.cells.to_dict("records"):
            ends = f"\n[{cell['low']:.3f}, {cell['high']:.3f}]" if cell["n"] > 1 else "\none seed: no interval"
            words.loc[cell[y.key], cell[x.key]] = f"{cell['mean']:.3f}{ends}\nn={cell['n']}"
        sns.heatmap(
            table, annot=words, fmt="", cmap="viridis", linewidths=0.5, annot_kws={"fontsize": style.TEXT_SIZE},
            cbar_kws={"label": _label(grid)}, ax=axes,
        )  # fmt: skip
        axes.set(xlabel=x.key, ylabel=y.key)
        axes.tick_params(axis="y", rotation=0)
    return plots, _data(grid)


# --- points in rows -------------------------------------------------------------------------------------------------


def _points(grid: Grid) -> tuple[SubFigure, pd.DataFrame]:
    """Draw a row per setting, the best on top."""
    names = [axis.key for axis in grid.axes]
    cells = grid.cells.sort_values("mean", ascending=False).head(MOST_ROWS).reset_index(drop=True)
    with style.print_style():
        notes = ["Hollow points: seeds; full points: their mean."]
        if len(grid.cells) > len(cells):
            notes.append(f"The best {len(cells)} of {len(grid.cells)} settings.")
        plots = _begin(grid, 0.8 + 0.24 * len(cells), notes)
        axes = plots.subplots()
        colour = sns.color_palette("colorblind", 1)[0]
        for place, cell in enumerate(cells.to_dict("records")):
            seeds = grid.runs[(grid.runs[names] == pd.Series({n: cell[n] for n in names})).all(axis=1)]["value"]
            _draw_seeds(axes, seeds, pd.Series(float(place), seeds.index), colour)
            reach = [[cell["mean"] - cell["low"]], [cell["high"] - cell["mean"]]]
            axes.errorbar([cell["mean"]], [place], xerr=reach, color=colour, marker="o", markersize=6, capsize=3)
        axes.set_yticks(range(len(cells)), [_row_label(row, names) for row in cells.to_dict("records")])
        axes.set_ylim(len(cells) - 0.5, -0.5)
        axes.set(xlabel=_label(grid), xlim=_widened(*axes.get_xlim()))
        axes.grid(axis="x", alpha=0.3)
        sns.despine(ax=axes)
    data = _data(grid)
    return plots, data.merge(cells[names], on=names)


def _widened(low: float, high: float) -> tuple[float, float]:
    """Widen the reach of an axis where it would show rounding as a difference."""
    more = max(0.0, LEAST_REACH * max(abs(low), abs(high)) - (high - low)) / 2
    return low - more, high + more


def _row_label(row: dict, names: list[str]) -> str:
    if len(names) == 1:
        return f"{row[names[0]]} (n={row['n']})"
    words = ", ".join(f"{name.rpartition('.')[2]}={row[name]}" for name in names)
    return f"{words} (n={row['n']})"


def _label(grid: Grid) -> str:
    return style.LABELS.get(grid.y, {"eval/test/reward": "reward, test prompts"}.get(grid.y, grid.y))
