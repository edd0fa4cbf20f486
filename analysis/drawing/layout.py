"""What several figures share: title, caption, legend and lines of cells. The figures decide what is drawn."""

import textwrap
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from analysis.drawing import style
from analysis.settings import CHANCE, PRESET, UNRECORDED
from analysis.statistics.stats import PANEL
from rftlab.runs.naming import NEAR_CHANCE

KEYS_SHOWN = 12  # more run keys than this are left to the CSV
WORDS_SHOWN = 5  # of a setting, in a label; more are counted
LINE = 95  # characters of a line across the figure
HANDLE = 5  # characters that the line beside an entry of a legend takes
LINE_HEIGHT = 0.2  # inches
FOOT = 0.05  # inches, where a caption was taken away
MARKED = 8  # steps of a curve with a marker, or up to twice as many
ASIDE = 0.008  # of a cell's bars from those of the next, in parts of the axis
BEYOND = 0.2  # of the reach of all seeds, that bars may take of an axis on either side
LEAST_ROOM = 0.01  # around values that are all equal
SEEDS_NOTE = (
    "Line: mean over the n seeds; band: their minimum to maximum; bars: 95 % interval of the mean (Student's t)."
)


def single_panel(frame: pd.DataFrame) -> tuple[str, str, str, str]:
    """Return the scale, source, dataset and model of a frame, and refuse a mixture or nothing."""
    found = frame[PANEL].drop_duplicates()
    if len(found) != 1:
        raise ValueError(f"one figure shows one {', '.join(PANEL)}; the frame holds {found.to_dict('records')}")
    scale, source, data, model = found.iloc[0]
    return scale, source, data, model


def single_kind(frame: pd.DataFrame) -> tuple[str, str]:
    """Return the scale and source of a frame, and refuse a mixture or nothing."""
    found = frame[["scale", "source"]].drop_duplicates()
    if len(found) != 1:
        raise ValueError(f"one figure shows one scale and source; the frame holds {found.to_dict('records')}")
    scale, source = found.iloc[0]
    return scale, source


def cells(curves: pd.DataFrame, counts: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per cell in legend order: hue (algorithm and what else differs), heuristic, counts, label with n.

    `counts` maps a cell to what its steps count.
    """
    seeds = curves.groupby("cell")["n"].agg(["min", "max"])
    rows = ordered(curves, ["algo", "variant", "heuristic"]).merge(seeds, on="cell")
    rows = rows.assign(counts=rows["cell"].map(counts))
    named = rows[["algo", "heuristic", "variant", "counts"]].itertuples(index=False, name=None)
    in_words = map(span, rows["min"], rows["max"])
    labels = [f"{style.cell_label(*cell)} (n={n})" for cell, n in zip(named, in_words, strict=True)]
    return rows.assign(hue=hue(rows), label=labels)


def ordered(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return one row per cell (cell, algo, heuristic, variant), plain finetuning first."""
    rows = frame[["cell", "algo", "heuristic", "variant"]].drop_duplicates()
    algos, heuristics = style.algo_order(list(rows["algo"])), style.heuristic_order(list(rows["heuristic"]))
    rank = rows.assign(algo=rows["algo"].map(algos.index), heuristic=rows["heuristic"].map(heuristics.index))
    return rows.loc[rank.sort_values(by).index].reset_index(drop=True)


def hue(rows: pd.DataFrame) -> pd.Series:
    """Join what a colour stands for: the algorithm and, where settings differ within it, the setting."""
    alone = rows.groupby("algo")["variant"].transform("nunique") == 1  # it keeps its colour of other figures
    return rows["algo"].where(alone, (rows["algo"] + " " + rows["variant"]).str.strip())


def shared_words(*variants: pd.Series) -> list[str]:
    """Return the words that all these settings have, in the order of the first."""
    texts = [text.split() for series in variants for text in series.unique()]
    return [word for word in texts[0] if all(word in other for other in texts)] if texts else []


def without(frame: pd.DataFrame, words: Collection[str], column: str = "variant") -> pd.DataFrame:
    """Take words out of the settings of a frame, and count those that a label has no room for."""
    shorter = {text: _shorter([word for word in text.split() if word not in words]) for text in frame[column].unique()}
    return frame.assign(**{column: frame[column].map(shorter)})


def _shorter(words: list[str]) -> str:
    """Join the words of a setting; the first tell it from others, the rest are counted where there are many."""
    shown = (
        words if len(words) <= WORDS_SHOWN else [*words[: WORDS_SHOWN - 1], f"others={len(words) - WORDS_SHOWN + 1}"]
    )
    return " ".join(shown)


def with_beginning(label: str, heuristic: str) -> str:
    """Add to a label how its runs began, where they did not begin as they were."""
    return label if heuristic == "none" else f"{label}, {style.heuristic_label(heuristic)}"


def setting_lines(words: list[str]) -> str:
    """Say for a title what all cells below it have in common beyond dataset, model and scale."""
    presets = [word.partition("=")[2] for word in words if word.startswith(f"{PRESET}=")]
    values = [_with_group(word) for word in words if not word.startswith((f"{PRESET}=", UNRECORDED, CHANCE))]
    parts = [f"preset {preset}" for preset in presets]
    parts += [f"changed: {', '.join(values)}"] if values else []
    parts += ["what was changed is not recorded"] if UNRECORDED in words else []
    parts += [NEAR_CHANCE] if CHANCE in words else []
    return "\n".join(textwrap.wrap("  ·  ".join(parts), LINE))


def _with_group(word: str) -> str:
    """Shorten `data.loader.seed=1` to `loader.seed=1`; the last part alone may be the name of several keys."""
    key, _, value = word.partition("=")
    return f"{'.'.join(key.split('.')[-2:])}={value}"


def fit(figure: Figure) -> None:
    """Break those labels of the drawn part into lines that are too long for it."""
    plots, lines = figure.subfigs[0], 0
    for text in [text for legend in plots.legends for text in legend.get_texts()]:
        text.set_text(_broken(text.get_text(), LINE // 2 - HANDLE))
        lines += text.get_text().count("\n")
    for axes in plots.axes:
        if axes.get_title() and (spec := axes.get_subplotspec()):
            axes.set_title(_broken(axes.get_title(), LINE // spec.get_gridspec().ncols))
    grow(figure, lines)


def add_to_title(figure: Figure, text: str) -> None:
    """Write more lines under the title of the drawn part."""
    plots = figure.subfigs[0]
    plots.suptitle(f"{plots.get_suptitle()}\n{text}")
    grow(figure, text.count("\n") + 1)


def grow(figure: Figure, lines: int) -> None:
    """Make the figure higher by some lines of text."""
    figure.set_figheight(figure.get_figheight() + LINE_HEIGHT * lines)


def _broken(text: str, width: int) -> str:
    """Break each line of a text to at most so many characters."""
    return "\n".join(part for line in text.split("\n") for part in textwrap.wrap(line, width))


def span(low: int, high: int) -> str:
    """Write a count of seeds that may differ between steps."""
    return str(low) if low == high else f"{low} to {high}"


def draw_metric(axes: Axes, rows: pd.DataFrame, looks: style.Looks) -> None:
    """Draw one metric of cells, if there is any: the band from minimum to maximum, the line of the mean, its bars.

    `rows` have the `hue` of their cell. Bars are the interval from `low` to `high`, at the steps that a marker shows,
    the cells side by side.
    """
    if rows.empty:
        return
    every = max(1, rows["step"].nunique() // MARKED)
    groups = list(rows.groupby("cell", sort=False))
    reach = rows["step"].max() - rows["step"].min()
    for number, (_, cell) in enumerate(groups):
        colour = looks.palette[cell["hue"].iloc[0]]
        axes.fill_between(cell["step"], cell["min"], cell["max"], color=colour, alpha=0.18, linewidth=0)
        marked = cell.sort_values("step").iloc[::every].dropna(subset=["low"])
        aside = ASIDE * reach * (number - (len(groups) - 1) / 2)
        axes.vlines(marked["step"] + aside, marked["low"], marked["high"], color=colour, linewidth=0.9)
    sns.lineplot(
        rows,
        x="step",
        y="mean",
        hue="hue",
        style=looks.by,
        palette=looks.palette,
        dashes=looks.dashes,
        markers=looks.markers,
        markevery=every,
        markersize=5,
        linewidth=1.4,
        estimator=None,
        legend=False,
        ax=axes,
    )


def line_handle(cell: pd.Series, looks: style.Looks) -> Line2D:
    """Build the legend entry of a cell."""
    dash, marker = looks.dashes[cell[looks.by]], looks.markers[cell[looks.by]]
    line = Line2D([], [], color=looks.palette[cell["hue"]], marker=marker, markersize=5, linewidth=1.4)
    line.set(markeredgecolor="white", markeredgewidth=0.75, label=cell["label"])
    if not isinstance(dash, str):
        line.set_dashes(dash)
    return line


def limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Give the ends of the axis of one metric: all seeds, and bars as far as they leave room to see the curves.

    A bar of three seeds may be many times as long as the curves are high.
    """
    lowest, highest = rows["min"].min(), rows["max"].max()
    more = BEYOND * (highest - lowest)
    low, high = max(rows["low"].min(), lowest - more), min(rows["high"].max(), highest + more)
    ends = float(np.nanmin([lowest, low])), float(np.nanmax([highest, high]))
    room = 0.04 * (ends[1] - ends[0]) or LEAST_ROOM
    return ends[0] - room, ends[1] + room


def _cut(rows: pd.DataFrame, ends: tuple[float, float] | None) -> bool:
    """Say whether a bar of any metric leaves its axis."""
    by_metric = [(each, ends or limits(each)) for _, each in rows.groupby("metric")]
    return any(each["low"].min() < low or each["high"].max() > high for each, (low, high) in by_metric)


def seeds_note(rows: pd.DataFrame, ends: tuple[float, float] | None = None) -> list[str]:
    """Say what line, band and bars are, that a single seed has no interval, and that an axis cuts a bar.

    `ends` are those of the axes where they are not `limits`.
    """
    if (rows["n"] == 1).all():
        return ["Line: the one seed of each setting, without an interval."]
    single = ["One seed has no interval."] if (rows["n"] == 1).any() else []
    return [SEEDS_NOTE, *single, *(["Longer bars are cut at the end of the axis."] if _cut(rows, ends) else [])]


def nonfinite_note(rows: pd.DataFrame) -> list[str]:
    """Say how many values were NaN or infinite and therefore not drawn."""
    count = int(rows["n_nonfinite"].sum())
    return [f"{count} NaN or infinite values are not drawn."] if count else []


def with_caption(width: float, height: float, caption: str) -> tuple[Figure, SubFigure]:
    """Make a figure of the given size above a caption, and return it with the part to draw in."""
    lines = _caption_lines(caption, width)
    room = _caption_room(len(lines))
    figure = Figure(figsize=(width, height + room), layout="constrained")
    parts = figure.add_gridspec(2, 1, height_ratios=[height, room])
    upper, lower = figure.add_subfigure(parts[0]), figure.add_subfigure(parts[1])
    lower.text(0.08 / width, 1.0, "\n".join(lines), fontsize=style.CAPTION_SIZE, color="0.25", va="top")
    return figure, upper


def add_to_caption(figure: Figure, text: str) -> None:
    """Write more notes into the caption, before the run keys, and make room for them."""
    upper, lower = figure.subfigs
    (caption,) = lower.texts
    notes, runs, keys = caption.get_text().replace("\n", " ").rpartition("Runs: ")
    before = len(_caption_lines(caption.get_text(), figure.get_figwidth()))
    lines = _caption_lines(f"{notes}{text} {runs}{keys}", figure.get_figwidth())
    caption.set_text("\n".join(lines))
    height, room = figure.get_figheight(), _caption_room(len(lines))
    drawn = height - _caption_room(before)
    figure.set_figheight(drawn + room)
    grid = upper._subplotspec.get_gridspec()  # ty: ignore[missing-attribute]  # matplotlib has no public name for it
    grid.set_height_ratios([drawn, room])


def take_caption(figure: Figure) -> str:
    """Take the caption off a figure that `with_caption` made, with its room, and return it on one line."""
    upper, lower = figure.subfigs
    (caption,) = lower.texts
    text = caption.get_text()
    drawn = figure.get_figheight() - _caption_room(len(_caption_lines(text, figure.get_figwidth())))
    caption.set_text("")
    figure.set_figheight(drawn + FOOT)
    grid = upper._subplotspec.get_gridspec()  # ty: ignore[missing-attribute]  # matplotlib has no public name for it
    grid.set_height_ratios([drawn, FOOT])
    return " ".join(text.split())


def _caption_lines(caption: str, width: float) -> list[str]:
    """Break a caption into the lines of a figure of this width in inches."""
    return textwrap.wrap(caption, int(width * 14.3))  # run keys are digits, wider than most letters


def _caption_room(lines: int) -> float:
    """Return the height in inches of a caption."""
    return 0.08 + 0.145 * lines


def runs_caption(notes: list[str], joined_keys: pd.Series) -> str:
    """Join notes with the distinct run keys of rows that hold one or several each."""
    keys = sorted({key for keys in joined_keys for key in keys.split()})
    more = f" and {len(keys) - KEYS_SHOWN} more, see the CSV" if len(keys) > KEYS_SHOWN else ""
    return f"{' '.join(notes)} Runs: {' '.join(keys[:KEYS_SHOWN])}{more}."


def model_label(data: str, model: str) -> str:
    """Name a dataset and a model where a figure or a table shows several."""
    return f"{style.name(data)}, {model}"


def step_label(cells: pd.DataFrame) -> str:
    """Name the steps of these cells: iterations if any are, then what others count; `step_note` says whose they are."""
    first, *rest = _units(cells)
    others = sorted(f"{style.name(algo)}: {unit}" for algo, unit in _counted(cells) if unit in rest)
    return f"{first} ({others[0]})" if len(others) == 1 else " or ".join([first, *rest])


def step_note(cells: pd.DataFrame) -> list[str]:
    """Say whose steps are no iterations, where an axis has no room for it."""
    others = {
        unit: sorted(style.name(algo) for algo, own in _counted(cells) if own == unit) for unit in _units(cells)[1:]
    }
    several = sum(map(len, others.values())) > 1
    return [f"Steps are {unit}s of {', '.join(algos)}." for unit, algos in others.items() if several]


def _counted(cells: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(cells["algo"], cells["counts"], strict=True))


def _units(cells: pd.DataFrame) -> list[str]:
    """Name what is counted, iterations first."""
    return sorted({unit for _, unit in _counted(cells)}, key=lambda unit: (unit != "iteration", unit))


def setting_label(algo: str, variant: str, names: Mapping[str, str] | None = None) -> str:
    """Name an algorithm with what sets its setting apart, where the heuristic needs no word.

    `names` holds names that a figure gives to algorithms.
    """
    words = map(style.override_in_words, _shorter(variant.split()).split())
    return ", ".join([(names or {}).get(algo, style.name(algo)), *words])


def file_name(kind: str, panel: tuple[str, str, str, str]) -> str:
    """Name the files of a figure after all that it shows."""
    scale, source, data, model = panel
    return f"{kind}-{data}-{model}-{scale}-{source}"


def kind_name(kind: str, scale: str, source: str) -> str:
    """Name the files of a figure or table that shows all datasets and models of a scale and source."""
    return f"{kind}-{scale}-{source}"
