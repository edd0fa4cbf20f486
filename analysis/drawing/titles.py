"""Titles that say what runs changed beyond their choice of groups. Every figure of runs passes here."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.statistics import stats

SETTINGS = ("variant", "sft_variant")  # columns with the words of a setting


def titled(picture: Callable[..., Drawn], frame: pd.DataFrame, *more: pd.DataFrame, **keywords: object) -> Drawn:
    """Draw frames of the same cells; the words that all their settings share go from the labels into the title."""
    words = layout.shared_words(*(frame[column] for column in SETTINGS if column in frame))
    return _with_title(picture(*(_without(each, words) for each in (frame, *more)), **keywords), words)


def of_cells(points: pd.DataFrame, picture: Callable[[pd.DataFrame], Drawn]) -> Iterator[Drawn]:
    """Draw each cell by itself; the words that all cells of a panel share go from the labels into the titles."""
    for panel in stats.parts(points, stats.PANEL):
        words = layout.shared_words(panel["variant"])
        for here in stats.parts(layout.without(panel, words), stats.CELL):
            yield _with_title(picture(here), words)


def _without(frame: pd.DataFrame, words: list[str]) -> pd.DataFrame:
    """Take words out of all settings of a frame."""
    for column in SETTINGS:
        frame = layout.without(frame, words, column) if column in frame else frame
    return frame


def _with_title(drawn: Drawn, words: list[str]) -> Drawn:
    """Add to title and CSV what all cells of a figure changed."""
    with style.print_style():
        layout.fit(drawn.figure)
        if not words:
            return drawn
        layout.add_to_title(drawn.figure, layout.setting_lines(words))
    return replace(drawn, data=drawn.data.assign(changed=" ".join(words)))
