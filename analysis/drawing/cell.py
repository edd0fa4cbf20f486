"""What the figures of one cell share: title, file name, logarithmic axes, verdicts in words."""

from collections.abc import Hashable

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from analysis.drawing import style
from analysis.statistics.theory import FLOOR

GREY: dict = {"color": "0.45", "linewidth": 0.8}


def title(panel: tuple[str, str, str, str], points: pd.DataFrame) -> str:
    """Name the panel and, on a second line, what sets this cell apart from others of it."""
    variant = points["variant"].iloc[0]
    return "\n".join(filter(None, [style.panel_title(*panel), variant.replace(" ", "  ·  ")]))


def suffix(points: pd.DataFrame) -> str:
    """Tell the files of a cell from those of the other cells of its panel, where there are any."""
    return f"-{points['cell'].iloc[0]}" if points["variant"].iloc[0] else ""


def drawable(points: pd.DataFrame, value: str) -> pd.DataFrame:
    """Keep the points that have a place on logarithmic axes; a violation is never left out as rounding."""
    kept = (points[value] >= FLOOR) | ((points["verdict"] == "violated") & (points[value] > 0))
    return points[kept & (points["bound"] > 0) & (points["verdict"] != "unknown")]


def log_axes(axes: Axes) -> None:
    """Make both axes logarithmic, with few enough ticks over many decades."""
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_major_locator(LogLocator(numticks=9))


def looks(names: list) -> dict[Hashable, tuple[style.Colour, str]]:
    """Give each group or clip range a colour and a marker."""
    palette = sns.color_palette("colorblind")
    order = [0, 3, 2, 1, 4, 5, 6, 7, 8, 9]
    return {name: (palette[order[i % 10]], style.MARKERS[i % len(style.MARKERS)]) for i, name in enumerate(names)}


def counts_in_words(row: pd.Series | dict, name: str) -> str:
    """Write the verdicts of one panel."""
    more = [f"{row['above']} above it within their error"] if row["above"] else []
    more += [f"{row['tiny']} with a {name} under {FLOOR:g}, not drawn"] if row["tiny"] else []
    more += [f"{row['unknown']} not finite"] if row["unknown"] else []
    first = f"{row['violated']} of {row['n']} violate the bound"
    worst = f"largest {name} / bound {row['worst']:.3g}"
    return f"{', '.join([first, *more, worst])}."
