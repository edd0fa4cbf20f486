"""Write a figure as PDF, PNG and the CSV of exactly what was drawn; a table as CSV, Markdown and LaTeX."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.drawing.style import print_style
from analysis.drawing.table import Table, latex, markdown


@dataclass(frozen=True)
class Drawn:
    """A figure with the numbers in it."""

    name: str  # file name without suffix
    figure: Figure
    data: pd.DataFrame  # exactly what was drawn, with the run keys it used

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the runs that it shows."""
        column = self.data["run_keys" if "run_keys" in self.data else "run_key"]
        return frozenset(key for keys in column for key in keys.split())


def save(drawn: Drawn, folder: Path) -> list[Path]:
    """Write `name.pdf`, `name.png` and `name.csv` and return their paths; the same runs give the same bytes of CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    pdf, png, csv = (folder / f"{drawn.name}.{suffix}" for suffix in ("pdf", "png", "csv"))
    with print_style():
        drawn.figure.savefig(pdf, metadata={"CreationDate": None})
        drawn.figure.savefig(png, metadata={"Software": None})
    drawn.data.to_csv(csv, index=False, lineterminator="\n")
    return [pdf, png, csv]


def save_table(table: Table, folder: Path) -> list[Path]:
    """Write `name.csv`, `name.md` and `name.tex`, the same cells in all three, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    csv, md, tex = (folder / f"{table.name}.{suffix}" for suffix in ("csv", "md", "tex"))
    table.cells.to_csv(csv, index=False, lineterminator="\n")
    md.write_text(markdown(table))
    tex.write_text(latex(table))
    return [csv, md, tex]
