"""The final test reward against what the runs of a sweep were asked to differ in, with seeds and intervals.

One numeric setting: a curve, logarithmic where its values grow by ratios; two: a heat map; words, or more settings:
a row of points for each. `python -m analysis.draw` draws other choices.
"""

from collections.abc import Iterator
from dataclasses import replace

from analysis.drawing.axes import picture
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.statistics import axes, stats
from analysis.statistics.frames import Frames

WANTED = ()


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw every sweep whose language runs differ in a setting, with the runs that it found done in another sweep."""
    for grid in axes.grids(stats.under_every_sweep(stats.of_family(frames.runs, "language"))):
        yield titled(lambda runs, grid=grid: picture(replace(grid, runs=runs)), grid.runs)
