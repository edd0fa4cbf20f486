"""Highlighted cells of a table as one line of text, as ToTTo's baseline writes them (Parikh et al. 2020)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise

from rftlab.data.parts.rows import Misfit

Cell = Mapping  # `value`, `is_header`, `column_span`
Table = Sequence[Sequence[Cell]]


def linearised(table: Table, highlighted: Sequence[Sequence[int]], page: str = "", section: str = "") -> str:
    """Write the highlighted cells, each with the headers above and left of it, behind the titles that are not empty.

    A highlighted cell is a pair of row and place in the list of that row, whatever cells span.

    Raises:
        Misfit: a highlighted cell that the table does not have.
    """
    titles = [
        f"<{tag}> {title} </{tag}> " for tag, title in (("page_title", page), ("section_title", section)) if title
    ]
    return "".join([*titles, "<table> ", *(_cell(table, place) for place in highlighted), "</table>"])


def _cell(table: Table, place: Sequence[int]) -> str:
    if len(place) != 2 or not (0 <= place[0] < len(table) and 0 <= place[1] < len(table[place[0]])):
        raise Misfit(f"highlights the cell {list(place)}", f"a row and a place of its table of {len(table)} rows")
    row, column = place
    above = "".join(f"<col_header> {cell['value']} </col_header> " for cell in _above(table, row, column))
    left = "".join(f"<row_header> {cell['value']} </row_header> " for cell in table[row][:column] if cell["is_header"])
    return f"<cell> {table[row][column]['value']} {above}{left}</cell> "


def _above(table: Table, row: int, column: int) -> Iterator[Cell]:
    """Find the header cells of all rows above whose columns overlap those of a cell."""
    start, end = _columns(table[row])[column]
    for cells in table[:row]:
        for cell, (first, last) in zip(cells, _columns(cells), strict=True):
            if cell["is_header"] and first < end and start < last:
                yield cell


def _columns(cells: Sequence[Cell]) -> list[tuple[int, int]]:
    """Count the columns where each cell of a row begins and ends; cells of rows above that reach down do not count."""
    ends = list(accumulate((cell["column_span"] for cell in cells), initial=0))
    return list(pairwise(ends))
