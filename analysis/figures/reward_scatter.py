"""Each train prompt's reward std and mean over its samples, before and after the finetuning of the panel.

Percentages are the share of prompts whose gradient vanishes (std < 0.05).
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing.wanted import LANGUAGE
from analysis.statistics import stats
from analysis.statistics.frames import Frames
from analysis.statistics.stats import CELL, STD_BELOW, before_and_after

WANTED = LANGUAGE
PLACE = 0.01  # of the reward: prompts that are closer look like one
ONE = 9.0  # points squared, of the marker of a single prompt
COLUMNS = [*CELL, "seed", "run_key", "phase", "prompt_id", "reward_mean", "reward_std", "n_samples"]
SHARE_COLUMNS = [*CELL, "phase", "share", "n"]


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each panel of language runs that measured their prompts."""
    prompts = stats.of_family(frames.prompts, "language")
    shares = stats.vanishing_share(prompts)
    for here in stats.parts(before_and_after(prompts), stats.PANEL):
        yield titled(picture, here, stats.of_panel(shares, layout.single_panel(here)), counts=frames.counts)


def picture(prompts: pd.DataFrame, shares: pd.DataFrame, counts: Mapping[str, str]) -> Drawn:
    """Draw each prompt's reward std against its mean, before and after finetuning, one panel per cell.

    `prompts` are rows of `load.load_prompts` and `shares` what `stats.vanishing_share` says of them; all seeds of a
    cell lie in its panel. `counts` maps a cell to what its steps count.
    """
    panel = layout.single_panel(prompts)
    drawn = _in_drawing_order(_finite(before_and_after(prompts))[COLUMNS])
    cells = layout.ordered(drawn, ["heuristic", "variant", "algo"])
    columns = min(3, max(2, cells["algo"].nunique()))
    rows = math.ceil(len(cells) / columns)
    notes = [
        f"Prompts of all seeds; those within {PLACE:g} of each other share a marker: its size says how many.",
        f"Percentages: prompts with std < {STD_BELOW:g}, before → after finetuning.",
    ]
    caption = layout.runs_caption([*notes, *layout.nonfinite_note(shares)], shares["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 0.9 + rows * (4.6 / columns + 0.3), caption)
        grid = plots.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, cell in zip(grid, cells["cell"], strict=False):
            _draw_cell(axes, drawn[drawn["cell"] == cell], shares[shares["cell"] == cell], counts[cell])
        for axes in grid[len(cells) :]:
            axes.set_visible(False)
        for axes in grid[: len(cells)]:
            axes.set_xlabel("reward std of a prompt", visible=True)  # in every row: the last one may have gaps
            axes.tick_params(labelbottom=True)
        for axes in grid[::columns]:
            axes.set_ylabel("reward mean of a prompt")
        plots.suptitle(style.panel_title(*panel))
        plots.legend(handles=_phase_handles(), loc="outside lower center", ncols=3)
    return Drawn(
        layout.file_name("reward_scatter", panel), figure, drawn.merge(shares[SHARE_COLUMNS], on=[*CELL, "phase"])
    )


def _finite(prompts: pd.DataFrame) -> pd.DataFrame:
    """Keep the prompts that have a place in the plane."""
    return prompts[np.isfinite(prompts["reward_std"]) & np.isfinite(prompts["reward_mean"])]


def _in_drawing_order(prompts: pd.DataFrame) -> pd.DataFrame:
    """Sort prompts so that those after finetuning come last and lie on top."""
    order = prompts["phase"].map(style.PHASES.index)
    by = [*CELL, "order", "seed", "prompt_id"]
    return prompts.assign(order=order).sort_values(by, ignore_index=True).drop(columns="order")


def _draw_cell(axes: Axes, prompts: pd.DataFrame, shares: pd.DataFrame, counts: str) -> None:
    """Draw the points of one cell under a title with its share of vanishing prompts and its n."""
    axes.axvline(STD_BELOW, color="0.45", linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    palette = style.phase_palette()
    for phase in style.PHASES:
        places = _places(prompts[prompts["phase"] == phase])
        axes.scatter(
            places["reward_std"], places["reward_mean"], s=places["prompts"].map(_area), color=palette[phase],
            marker=style.PHASE_MARKERS[phase], alpha=0.5, linewidth=0.3, edgecolor="white", rasterized=True,
        )  # fmt: skip
    first, share = prompts.iloc[0], shares.set_index("phase")
    percent = " → ".join(f"{share.at[phase, 'share']:.0%}" for phase in style.PHASES if phase in share.index)
    vanishing = f"std < {STD_BELOW:g}: {percent}"
    label = style.cell_label(first["algo"], first["heuristic"], first["variant"], counts)
    axes.set_title(f"{label}\n{vanishing} (n={layout.span(share['n'].min(), share['n'].max())})")
    axes.set(xlabel="", ylabel="")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    sns.despine(ax=axes)


def _places(prompts: pd.DataFrame) -> pd.DataFrame:
    """Count the prompts at each place of the plane; what one marker would hide lies at one place."""
    rounded = (prompts[["reward_std", "reward_mean"]] / PLACE).round() * PLACE
    return rounded.groupby(["reward_std", "reward_mean"]).size().rename("prompts").reset_index()


def _area(prompts: float) -> float:
    """Give the area of a marker in points squared: it grows with the root of the number."""
    return ONE * prompts**0.5


def _phase_handles() -> list[Line2D]:
    """Build the legend of the scatter: the two phases, how many prompts a marker stands for, and the threshold."""
    palette = style.phase_palette()
    points = [
        Line2D(
            [], [], color=palette[phase], marker=style.PHASE_MARKERS[phase], linestyle="", label=f"{phase} finetuning"
        )
        for phase in style.PHASES
    ]
    line = Line2D([], [], color="0.45", linewidth=0.8, linestyle=(0, (3, 2)), label=f"std = {STD_BELOW:g}")
    sizes = [
        Line2D([], [], color="0.45", marker="o", linestyle="", markersize=_area(number) ** 0.5, label=label)
        for number, label in ((1, "1 prompt"), (10, "10 prompts"), (100, "100 prompts"))
    ]
    return [*points, line, *sizes]
