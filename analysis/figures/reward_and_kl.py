"""Final test reward and, beside it, KL to the start against the settings of a sweep (Zhu et al. 2023, Figures 7 and 8).

One numeric setting, such as lambda, is a curve; else a row per setting. Seeds, mean and 95 % interval.
"""

from collections.abc import Iterator

import pandas as pd

from analysis.drawing import axes as curves
from analysis.drawing import layout, outcome_rows, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing.wanted import APA_SETTINGS
from analysis.statistics import outcomes
from analysis.statistics.axes import Grid
from analysis.statistics.frames import Frames
from rftlab.runs.naming import source_in_words

WANTED = APA_SETTINGS
MOST_ROWS = 40  # more would not fit a page


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw every sweep whose runs tell both at the end."""
    for reward, kl in outcomes.pairs_of_grids(frames):
        rows = outcomes.in_rows(reward, kl)
        if rows["label"].nunique() <= MOST_ROWS:
            yield titled(lambda rows, reward=reward, kl=kl: picture(rows, reward, kl), rows)


def picture(rows: pd.DataFrame, reward: Grid, kl: Grid) -> Drawn:
    """Draw one sweep; `rows` are those of `outcomes.in_rows` of the two grids."""
    data = outcome_rows.reduced(rows)
    numeric = len(reward.axes) == 1 and reward.axes[0].numeric
    caption = layout.runs_caption(outcome_rows.notes(data), data["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 3.0 if numeric else outcome_rows.height(data), caption)
        if numeric:
            for plot, grid in zip(plots.subplots(1, 2), (reward, kl), strict=True):
                curves.draw_curve(plot, grid, grid.axes[0])
        else:
            outcome_rows.draw(plots, data)
        plots.suptitle(_title(reward))
    return Drawn(_name(reward), figure, data)


def _title(grid: Grid) -> str:
    scale, source, data = grid.runs[["scale", "source", "data"]].iloc[0]
    words = [grid.sweep, style.name(data), f"model {', '.join(sorted(grid.runs['model'].unique()))}", f"scale {scale}"]
    return "  ·  ".join([*words, source_in_words(source), *([f"reward {grid.part}"] if grid.part > 1 else [])])


def _name(grid: Grid) -> str:
    scale, source, data = grid.runs[["scale", "source", "data"]].iloc[0]
    parts = ["reward_and_kl", grid.sweep, data, scale, source, *([f"reward{grid.part}"] if grid.part > 1 else [])]
    return "-".join(parts)
