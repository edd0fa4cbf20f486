"""A search: the value of each trial with the best so far, and beside it against what was searched.

A dot is a trial that is done, the mean over its seeds, which are the small dots; a cross is one that has no value.
"""

from collections.abc import Iterator

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.statistics import searches, stats
from analysis.statistics.frames import Frames

WANTED = ()
KEYS = 2  # settings that are drawn; the CSV has all of them
CROSSES = {"pruned": "0.35", "diverged": "#D55E00", "open": "0.75"}  # state -> colour


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw every search with a trial that is done."""
    for here in stats.parts(frames.once(searches.trials), ["sweep"]):
        if here["value"].notna().any():
            yield titled(picture, here)


def picture(rows: pd.DataFrame) -> Drawn:
    """Draw one search; `rows` is what `searches.trials` returns of it."""
    sweep, metric, space = rows["sweep"].iloc[0], rows["metric"].iloc[0], rows["space"].iloc[0]
    keys = list(space)[:KEYS]
    table = rows.drop(columns=["params", "space", "values", "variant"])
    table = table.assign(**{key: [row.get(key, "") for row in rows["params"]] for key in space})
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 3.2, layout.runs_caption(_notes(rows, keys), rows["run_keys"]))
        first, *others = plots.subplots(1, 1 + len(keys), sharey=True, width_ratios=[3, *[2] * len(keys)])
        _draw(first, rows, [float(number) for number in rows["trial"]])
        first.plot(rows["trial"], rows["best"], drawstyle="steps-post", color="0.3", linewidth=1.2, zorder=1)
        first.xaxis.set_major_locator(MaxNLocator(integer=True))
        first.set(xlabel="trial", ylabel=style.name(metric))
        for axes, key in zip(others, keys, strict=True):
            _against(axes, rows, key, space[key])
        first.margins(y=0.12)  # above the crosses
        for axes in (first, *others):
            sns.despine(ax=axes)
        scale, source, data, model = rows[stats.PANEL].iloc[0]
        plots.suptitle(f"search {sweep}  ·  {style.panel_title(scale, source, data, model)}")
    return Drawn(f"search-{sweep}", figure, table)


def _notes(rows: pd.DataFrame, keys: list[str]) -> list[str]:
    seeds = sorted({len(values) for values in rows["values"] if values})
    mean = "mean over seeds, which are the small dots" if seeds != [1] else "of one seed"
    found = ["lowest" if rows["direction"].iloc[0] == "minimize" else "highest"]
    notes = [f"A dot: a trial that is done, {mean}. Line: the {found[0]} value so far."]
    counts = rows["state"].value_counts()
    told = [f"{counts[state]} {state}" for state in CROSSES if state in counts]
    notes += [f"Crosses below have no value: {', '.join(told)}."] if told else []
    more = len(rows["space"].iloc[0]) - len(keys)
    notes += [f"{more} more settings are in the CSV."] if more > 0 else []
    return notes


def _against(axes: Axes, rows: pd.DataFrame, key: str, given: str) -> None:
    """Draw the values against a setting: a number on its scale, words as places."""
    words = [row.get(key) for row in rows["params"]]
    try:
        places = [float(str(word)) for word in words]
    except ValueError:
        names = sorted({str(word) for word in words})
        places = [float(names.index(str(word))) for word in words]
        axes.set_xticks(range(len(names)), names)
    if "tag(log" in given.replace(" ", ""):
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    _draw(axes, rows, places)
    axes.set_xlabel(key)


def _draw(axes: Axes, rows: pd.DataFrame, places: list[float]) -> None:
    for place, row in zip(places, rows.to_dict("records"), strict=True):
        if row["state"] in CROSSES:  # at the foot of the axes: it has no value
            axes.plot(place, 0.02, "x", color=CROSSES[row["state"]], markersize=5, transform=axes.get_xaxis_transform())
        else:
            axes.plot([place] * len(row["values"]), row["values"], ".", color="0.6", markersize=3, zorder=2)
            axes.plot(place, row["value"], "o", color=sns.color_palette("colorblind")[0], markersize=4.5, zorder=3)
