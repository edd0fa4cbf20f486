"""Razin et al. 2024, Figure 3: reward, reward std and gradient norm of both groups of inputs against epochs.

A figure, `controlled-OPTIMIZER-REWARDS-*`, compares RFT and SFT with one dataset, model, optimizer and reward variant:
`default_rewards`, `high_initial_reward` (0.5 for a wrong label of a modified input) or `wrong_reward_X`.
"""

from collections.abc import Iterable, Iterator

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing.companions import absent_pair
from analysis.missing.coverage import absent_seeds
from analysis.missing.wanted import CONTROLLED
from analysis.statistics import controlled, stats
from analysis.statistics.controlled import GROUPS, QUANTITIES, SETTING, reward_variant
from analysis.statistics.frames import Frames

Line = str | tuple[int, tuple[float, ...]]

LOG = ("reward_std", "grad_norm")  # drawn on a logarithmic axis: they fall over decades
LONG = 200  # from this ratio of last to first epoch on, epochs are logarithmic too: SFT is done within the first few
METRICS = controlled.CURVES
WANTED = CONTROLLED
PAIR = ("expected_reinforce", "sft")  # that every figure compares
LINES: dict[str, Line] = {"expected_reinforce": "-", "reinforce": (0, (1, 1.2)), "sft": (0, (4, 1.5))}
OTHER_LINES: list[Line] = [(0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (7, 2))]  # of any other algorithm
OBJECTIVES = {
    "expected_reinforce": "RFT: expected reward",
    "reinforce": "sampled RFT: its one-sample surrogate",
    "sft": "SFT: negative log-likelihood",
}
REWARDS = {
    "default_rewards": "rewards ±1",
    "high_initial_reward": "high initial reward (a wrong label of a modified input earns 0.5)",
}


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each setting."""
    for here in stats.parts(controlled.group_curves(frames.metrics), SETTING):
        yield titled(picture, here)


def gaps(runs: pd.DataFrame) -> list[dict]:
    """List the seeds that a figure lacks, and the one of PAIR."""
    finetuning = controlled.finetuning(runs)
    return [*absent_seeds(finetuning, SETTING), *absent_pair(finetuning, PAIR, SETTING)]


def picture(curves: pd.DataFrame) -> Drawn:
    """Draw reward, reward std and gradient norm of both groups of inputs against epochs, RFT against SFT.

    `curves` is what `controlled.group_curves` returns, of one SETTING; the line is the mean over seeds and the band
    runs from their minimum to their maximum.
    """
    scale, source, data, model, optimizer, wrong_reward = _single_setting(curves)
    drawn = curves[curves["n"] > 0].reset_index(drop=True)
    cells = _cells(drawn)
    rewards = reward_variant(wrong_reward)
    caption = layout.runs_caption(_notes(curves, drawn), drawn["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 6.2 + 0.17 * ((len(cells) + 1) // 2), caption)
        grid = plots.subplots(len(QUANTITIES), len(GROUPS), sharex=True, sharey="row")
        for quantity, line in zip(QUANTITIES, grid, strict=True):
            for group, axes in zip(GROUPS, line, strict=True):
                here = drawn[(drawn["group"] == group) & (drawn["quantity"] == quantity)]
                _draw(axes, here, cells, quantity in LOG)
            line[0].set_ylabel(style.LABELS[quantity])
        for group, top, bottom in zip(GROUPS, grid[0], grid[-1], strict=True):
            top.set_title(f"inputs with a {style.GROUPS[group]}")
            bottom.set_xlabel("epoch")
            bottom.set_xscale("log" if drawn["step"].max() >= LONG * drawn["step"].min() > 0 else "linear")
        words = f"optimizer {optimizer}  ·  {REWARDS.get(rewards, rewards.replace('_', ' '))}"
        plots.suptitle(f"{style.panel_title(scale, source, data, model)}\n{words}")
        plots.legend(handles=_handles(cells), loc="outside lower center", ncols=2, handlelength=3.5)
    return Drawn(layout.file_name(f"controlled-{optimizer}-{rewards}", (scale, source, data, model)), figure, drawn)


def _single_setting(curves: pd.DataFrame) -> tuple:
    """Return the one setting of a frame, and refuse a mixture or nothing."""
    found = curves[SETTING].drop_duplicates()
    if len(found) != 1:
        raise ValueError(f"one figure shows one {', '.join(SETTING)}; the frame holds {found.to_dict('records')}")
    return tuple(found.iloc[0])


def _notes(curves: pd.DataFrame, drawn: pd.DataFrame) -> list[str]:
    """Say what lines, bands and norms are, and what a logarithmic axis leaves out."""
    objectives = "; ".join(words for algo, words in OBJECTIVES.items() if (drawn["algo"] == algo).any())
    zeros = int(((drawn["mean"] <= 0) & drawn["quantity"].isin(LOG)).sum())
    return [
        "Each minibatch is measured before its own update; line: mean over the n seeds, band: minimum to maximum.",
        f"Gradient norm: of the group's mean objective ({objectives}).",
        *([f"{zeros} values of zero are not on the logarithmic axes."] if zeros else []),
        *layout.nonfinite_note(curves),
    ]


def _cells(drawn: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell in legend order: cell, algo, colour, line style, label with n."""
    seeds = drawn.groupby("cell")["n"].agg(["min", "max"])
    rows = drawn[["cell", "algo", "variant"]].drop_duplicates()
    rows = rows.sort_values(["algo", "variant"]).merge(seeds, on="cell")
    hues = layout.hue(rows)
    colours = style.colours(list(hues))
    names = [layout.setting_label(*row, controlled.NAMES) for row in zip(rows["algo"], rows["variant"], strict=True)]
    seeds_in_words = map(layout.span, rows["min"], rows["max"])
    labels = [f"{name} (n={n})" for name, n in zip(names, seeds_in_words, strict=True)]
    return rows.assign(colour=[colours[hue] for hue in hues], line=rows["algo"].map(_lines(rows["algo"])), label=labels)


def _lines(algos: Iterable[str]) -> dict[str, Line]:
    """Give each algorithm a line style."""
    others = sorted(set(algos) - set(LINES))
    return LINES | {algo: OTHER_LINES[i % len(OTHER_LINES)] for i, algo in enumerate(others)}


def _draw(axes: Axes, rows: pd.DataFrame, cells: pd.DataFrame, logarithmic: bool) -> None:
    """Draw one quantity of one group: band from minimum to maximum, then the line of the mean."""
    for look in cells.to_dict("records"):
        cell = rows[rows["cell"] == look["cell"]]
        if logarithmic:
            cell = cell[cell["mean"] > 0]
        low = cell["min"].where(cell["min"] > 0, cell["mean"]) if logarithmic else cell["min"]
        axes.fill_between(cell["step"], low, cell["max"], color=look["colour"], alpha=0.18, linewidth=0)
        axes.plot(cell["step"], cell["mean"], color=look["colour"], linestyle=look["line"], linewidth=1.4)
    if logarithmic and (rows["mean"] > 0).any():
        axes.set_yscale("log")
    sns.despine(ax=axes)


def _handles(cells: pd.DataFrame) -> list[Line2D]:
    """Build the legend."""
    return [
        Line2D([], [], color=cell["colour"], linestyle=cell["line"], linewidth=1.4, label=cell["label"])
        for cell in cells.to_dict("records")
    ]
