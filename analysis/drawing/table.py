"""A table whose cells are text, written as Markdown and as LaTeX. Numbers are formatted before, once."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from analysis.drawing import layout, style

NONE = "-"  # where there is no number
NUMBER = re.compile(r"[-+]?\d[\d.e+-]*( .*)?|-")  # with what may follow it: an interval, n, another number
LATEX = str.maketrans(  # what pandas leaves as it is, and the usual fonts of LaTeX show as something else
    {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "→": r"$\to$", "±": r"$\pm$", "·": r"$\cdot$"}
)


@dataclass(frozen=True)
class Table:
    """A table as it is read: every cell is text."""

    name: str  # file name without suffix
    caption: str
    cells: pd.DataFrame
    run_keys: pd.Series  # of the runs that it shows, one or several in each value

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the runs that it shows."""
        return frozenset(key for keys in self.run_keys for key in keys.split())


def of_cells(
    kind: str, cells: pd.DataFrame, held: list[str], row: Callable[[dict], dict[str, str]], caption: str
) -> Table:
    """Lay out the cells of one scale and source, a row each, those of one dataset and model together.

    `held` are columns that part them before. What all settings share goes from the labels into the caption.
    """
    words = layout.shared_words(cells["variant"])
    cells = layout.without(cells, words)
    order = style.algo_order(list(cells["algo"]))
    ranked = cells.assign(rank=cells["algo"].map(order.index))
    rows = ranked.sort_values([*held, "data", "model", "rank", "variant", "heuristic"]).to_dict("records")
    if shared := " ".join(layout.setting_lines(words).split()):
        caption += f" All: {shared}."
    return Table(kind_name(kind, cells), caption, pd.DataFrame([row(each) for each in rows]), cells["run_keys"])


def number(value: float, form: str = ".3f") -> str:
    """Format a number; a dash where there is none."""
    return NONE if math.isnan(value) else format(value, form)


def interval(value: float, low: float, high: float, form: str = ".2f") -> str:
    """Format a number with its interval."""
    return f"{number(value, form)} [{number(low, form)}, {number(high, form)}]"


def over_seeds(value: float, low: float, high: float, n: int, form: str = ".3f") -> str:
    """Format a mean over seeds with their minimum and maximum, where there are several."""
    return number(value, form) if n < 2 or math.isnan(value) else f"{interval(value, low, high, form)}"


def kind_name(kind: str, frame: pd.DataFrame) -> str:
    """Name a table after its scale and source."""
    return layout.kind_name(kind, *layout.single_kind(frame))


def markdown(table: Table) -> str:
    """Write a table as Markdown, its caption below."""
    right = _numeric(table.cells)
    sides = ["right" if column in right else "left" for column in table.cells]
    cells = table.cells.astype(str).map(lambda cell: cell.replace("|", r"\|"))
    return f"{cells.to_markdown(index=False, disable_numparse=True, colalign=sides)}\n\n{table.caption}\n"


def latex(table: Table) -> str:
    """Write a table for the LaTeX package booktabs, its caption as a comment."""
    right = _numeric(table.cells)
    columns = "".join("r" if column in right else "l" for column in table.cells)
    text = table.cells.astype(str).to_latex(index=False, escape=True, column_format=columns)
    return f"% {table.caption}\n{text.translate(LATEX)}"


def _numeric(cells: pd.DataFrame) -> set[str]:
    """Return the columns that hold numbers, or dashes where there is none."""
    return {
        column
        for column in cells
        if cells[column].map(lambda cell: NUMBER.fullmatch(cell) is not None).all() and (cells[column] != NONE).any()
    }
