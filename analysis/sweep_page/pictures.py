"""Every figure and table of a sweep, as the page holds them."""

import inspect
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import matplotlib as mpl
from matplotlib.figure import Figure

from analysis import everything, pages
from analysis.drawing import layout
from analysis.drawing.save import Drawn
from analysis.drawing.style import print_style
from analysis.drawing.table import Table
from analysis.statistics.frames import Frames

FIRST = ("search", "sweep_axes", "learning_curves", "reward_against_kl")  # what most readers look for
LARGEST_SVG = 400_000  # bytes; a figure with more points than that is a PNG
DPI = 160
SUFFIXES = {"png": ".png", "svg+xml": ".svg"}


@dataclass(frozen=True)
class Picture:
    """A figure with its words: in the picture they could neither be read on a phone nor aloud."""

    name: str  # of a file, without suffix
    alt: str  # what it shows, and of what
    about: str
    caption: str
    content: bytes
    kind: Literal["png", "svg+xml"]

    @property
    def address(self) -> str:
        """The picture itself, as a page holds it."""
        return pages.embedded(self.content, self.kind)


@dataclass(frozen=True)
class Shown:
    """What the runs of a sweep allow."""

    figures: list[Picture]
    tables: list[Table]
    left_out: list[str]  # what could not be drawn, with the reason


def shown(frames: Frames) -> Shown:
    """Draw everything; a file that fails is named, and the others are drawn."""
    figures, tables, left_out = [], [], []
    for file in sorted(everything.files(), key=_place):
        try:
            for each in _drawn(file, frames):
                if isinstance(each, Table):
                    tables.append(each)
                else:
                    figures.append(_picture(each, file))
        except Exception as error:  # the page has more to say than this figure
            left_out.append(f"{_name(file)}: {type(error).__name__}: {error}")
    return Shown(figures, tables, left_out)


def _name(file: ModuleType) -> str:
    return file.__name__.rpartition(".")[2]


def _place(file: ModuleType) -> tuple[int, str]:
    name = _name(file)
    return (FIRST.index(name) if name in FIRST else len(FIRST)), name


def _drawn(file: ModuleType, frames: Frames) -> Iterator[Drawn | Table]:
    return (everything.noted(each, frames.runs) for each in file.draw(frames))


def _picture(drawn: Drawn, file: ModuleType) -> Picture:
    about = " ".join((inspect.getdoc(file) or "").partition("\n\n")[0].replace("`", "").split())
    title, caption = _title(drawn.figure), layout.take_caption(drawn.figure)
    content, kind = _content(drawn.figure)
    return Picture(drawn.name, f"{about} {title}".strip(), about, caption, content, kind)


def _title(figure: Figure) -> str:
    upper, _ = figure.subfigs
    return " ".join((upper.get_suptitle() or figure.get_suptitle()).split())


def save(pictures: Sequence[Picture], folder: Path) -> None:
    """Write each picture as a file, and remove those of before.

    Raises:
        OSError: They cannot be written.
    """
    folder.mkdir(exist_ok=True)
    written = set()
    for picture in pictures:
        path = folder / f"{picture.name}{SUFFIXES[picture.kind]}"
        if not path.exists() or path.read_bytes() != picture.content:
            path.write_bytes(picture.content)
        written.add(path)
    for path in folder.iterdir():
        if path.suffix in SUFFIXES.values() and path not in written:
            path.unlink()


def _content(figure: Figure) -> tuple[bytes, Literal["png", "svg+xml"]]:
    with print_style(), mpl.rc_context({"svg.hashsalt": "rftlab"}):  # the same runs give the same bytes
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        if len(svg.getvalue()) <= LARGEST_SVG:
            return svg.getvalue(), "svg+xml"
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        return png.getvalue(), "png"
