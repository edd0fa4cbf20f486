"""Write a figure as PDF, PNG and the CSV of exactly what was drawn."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.style import print_style


@dataclass(frozen=True)
class Drawn:
    """A figure with the numbers in it."""

    name: str  # file name without suffix
    figure: Figure
    data: pd.DataFrame  # exactly what was drawn, with the run keys it used


def save(drawn: Drawn, folder: Path) -> list[Path]:
    """Write `name.pdf`, `name.png` and `name.csv` and return their paths; the same runs give the same bytes of CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    pdf, png, csv = (folder / f"{drawn.name}.{suffix}" for suffix in ("pdf", "png", "csv"))
    with print_style():
        drawn.figure.savefig(pdf, metadata={"CreationDate": None})
        drawn.figure.savefig(png, metadata={"Software": None})
    drawn.data.to_csv(csv, index=False, lineterminator="\n")
    return [pdf, png, csv]
