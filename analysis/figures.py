"""Figures: frame of statistics in, figure out. One figure shows one scale, source, dataset and model, and says so."""

import math
import textwrap

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from analysis import style
from analysis.save import Drawn
from analysis.stats import CELL, PANEL, STD_BELOW

CURVE_METRICS = ["reward/mean", "policy/kl"]
KEYS_SHOWN = 12  # more run keys than this are left to the CSV
SCATTER_COLUMNS = [*CELL, "seed", "run_key", "phase", "prompt_id", "reward_mean", "reward_std", "n_samples"]
SHARE_COLUMNS = [*CELL, "phase", "share", "n"]


def learning_curves(curves: pd.DataFrame) -> Drawn:
    """Draw reward and KL against iterations: a colour per algorithm, a dash and marker per heuristic.

    `curves` is what `stats.curves` returns, of one scale, source, dataset and model; the line is the mean over seeds
    and the band runs from their minimum to their maximum.
    """
    panel = _single_panel(curves)
    drawn = curves[curves["n"] > 0].reset_index(drop=True)
    cells = _cells(drawn)
    looks = style.looks(list(cells["hue"]), list(cells["heuristic"]))
    notes = ["Line: mean over the n seeds; band: their minimum to maximum.", *_nonfinite_note(curves)]
    caption = _runs_caption(notes, drawn["run_keys"])
    with style.print_style():
        figure, plots = _with_caption(style.WIDTH, 2.9 + 0.17 * ((len(cells) + 1) // 2), caption)
        for axes, metric in zip(plots.subplots(1, len(CURVE_METRICS)), CURVE_METRICS, strict=True):
            _draw_metric(axes, drawn[drawn["metric"] == metric], looks)
            axes.set(xlabel="iteration", ylabel=style.LABELS[metric])
            sns.despine(ax=axes)
        plots.suptitle(style.panel_title(*panel))
        handles = [_line_handle(cell, looks) for _, cell in cells.iterrows()]
        plots.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=3.5)
    return Drawn(_name("learning_curves", panel), figure, drawn)


def reward_scatter(prompts: pd.DataFrame, shares: pd.DataFrame) -> Drawn:
    """Draw each prompt's reward std against its mean, before and after finetuning, one panel per cell.

    `prompts` are rows of `load.load_prompts` and `shares` what `stats.vanishing_share` says of them; all seeds of a
    cell lie in its panel.
    """
    panel = _single_panel(prompts)
    drawn = _in_drawing_order(_finite(prompts)[SCATTER_COLUMNS])
    cells = _ordered(drawn, ["heuristic", "variant", "algo"])
    columns = min(3, max(2, cells["algo"].nunique()))
    rows = math.ceil(len(cells) / columns)
    notes = [f"A point is a prompt of one seed; percentages: prompts with std < {STD_BELOW:g}, before → after."]
    caption = _runs_caption([*notes, *_nonfinite_note(shares)], shares["run_keys"])
    with style.print_style():
        figure, plots = _with_caption(style.WIDTH, 0.9 + rows * (4.6 / columns + 0.3), caption)
        grid = plots.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, cell in zip(grid, cells["cell"], strict=False):
            _draw_cell(axes, drawn[drawn["cell"] == cell], shares[shares["cell"] == cell])
        for axes in grid[len(cells) :]:
            axes.set_visible(False)
        for axes in grid[: len(cells)]:
            axes.set_xlabel("reward std of a prompt", visible=True)  # in every row: the last one may have gaps
            axes.tick_params(labelbottom=True)
        for axes in grid[::columns]:
            axes.set_ylabel("reward mean of a prompt")
        plots.suptitle(style.panel_title(*panel))
        plots.legend(handles=_phase_handles(), loc="outside lower center", ncols=3)
    return Drawn(_name("reward_scatter", panel), figure, drawn.merge(shares[SHARE_COLUMNS], on=[*CELL, "phase"]))


def _single_panel(frame: pd.DataFrame) -> tuple[str, str, str, str]:
    """Return the scale, source, dataset and model of a frame, and refuse a mixture or nothing."""
    found = frame[PANEL].drop_duplicates()
    if len(found) != 1:
        raise ValueError(f"one figure shows one {', '.join(PANEL)}; the frame holds {found.to_dict('records')}")
    scale, source, data, model = found.iloc[0]
    return scale, source, data, model


def _cells(curves: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell in legend order: hue (algorithm and what else differs), heuristic, label with n."""
    seeds = curves.groupby("cell")["n"].agg(["min", "max"])
    rows = _ordered(curves, ["algo", "variant", "heuristic"]).merge(seeds, on="cell")
    labels = [
        f"{style.cell_label(row['algo'], row['heuristic'], row['variant'])} (n={_span(row['min'], row['max'])})"
        for row in rows.to_dict("records")
    ]
    return rows.assign(hue=_hue(rows), label=labels)


def _ordered(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return one row per cell (cell, algo, heuristic, variant), plain finetuning, PPO and APA first."""
    rows = frame[["cell", "algo", "heuristic", "variant"]].drop_duplicates()
    algos, heuristics = style.algo_order(list(rows["algo"])), style.heuristic_order(list(rows["heuristic"]))
    rank = rows.assign(algo=rows["algo"].map(algos.index), heuristic=rows["heuristic"].map(heuristics.index))
    return rows.loc[rank.sort_values(by).index].reset_index(drop=True)


def _hue(rows: pd.DataFrame) -> pd.Series:
    """Join what a colour stands for: the algorithm and, where settings differ within it, the setting."""
    return (rows["algo"] + " " + rows["variant"]).str.strip()


def _span(low: int, high: int) -> str:
    """Write a count of seeds that may differ between steps."""
    return str(low) if low == high else f"{low} to {high}"


def _draw_metric(axes: Axes, rows: pd.DataFrame, looks: style.Looks) -> None:
    """Draw one metric of all cells: band from minimum to maximum, then the line of the mean."""
    rows = rows.assign(hue=_hue(rows))
    for _, cell in rows.groupby("cell"):
        colour = looks.palette[cell["hue"].iloc[0]]
        axes.fill_between(cell["step"], cell["min"], cell["max"], color=colour, alpha=0.18, linewidth=0)
    sns.lineplot(
        rows,
        x="step",
        y="mean",
        hue="hue",
        style="heuristic",
        palette=looks.palette,
        dashes=looks.dashes,
        markers=looks.markers,
        markevery=max(1, rows["step"].nunique() // 8),
        markersize=5,
        linewidth=1.4,
        estimator=None,
        legend=False,
        ax=axes,
    )


def _line_handle(cell: pd.Series, looks: style.Looks) -> Line2D:
    """Build the legend entry of a cell."""
    dash, marker = looks.dashes[cell["heuristic"]], looks.markers[cell["heuristic"]]
    line = Line2D([], [], color=looks.palette[cell["hue"]], marker=marker, markersize=5, linewidth=1.4)
    line.set(markeredgecolor="white", markeredgewidth=0.75, label=cell["label"])
    if not isinstance(dash, str):
        line.set_dashes(dash)
    return line


def _finite(prompts: pd.DataFrame) -> pd.DataFrame:
    """Keep the prompts that have a place in the plane."""
    return prompts[np.isfinite(prompts["reward_std"]) & np.isfinite(prompts["reward_mean"])]


def _in_drawing_order(prompts: pd.DataFrame) -> pd.DataFrame:
    """Sort prompts so that those after finetuning come last and lie on top."""
    order = prompts["phase"].map(style.PHASES.index)
    by = [*CELL, "order", "seed", "prompt_id"]
    return prompts.assign(order=order).sort_values(by, ignore_index=True).drop(columns="order")


def _draw_cell(axes: Axes, prompts: pd.DataFrame, shares: pd.DataFrame) -> None:
    """Draw the points of one cell under a title with its share of vanishing prompts and its n."""
    axes.axvline(STD_BELOW, color="0.45", linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    sns.scatterplot(
        prompts,
        x="reward_std",
        y="reward_mean",
        hue="phase",
        style="phase",
        hue_order=style.PHASES,
        style_order=style.PHASES,
        palette=style.phase_palette(),
        markers=style.PHASE_MARKERS,
        s=13 if len(prompts) < 500 else 7,
        alpha=0.5,
        linewidth=0.3,
        legend=False,
        rasterized=True,
        ax=axes,
    )
    first, share = prompts.iloc[0], shares.set_index("phase")
    percent = " → ".join(f"{share.at[phase, 'share']:.0%}" for phase in style.PHASES if phase in share.index)
    label = style.cell_label(first["algo"], first["heuristic"], first["variant"])
    axes.set_title(f"{label}\n{percent} (n={_span(share['n'].min(), share['n'].max())})")
    axes.set(xlabel="", ylabel="")
    sns.despine(ax=axes)


def _phase_handles() -> list[Line2D]:
    """Build the legend of the scatter: the two phases and the threshold."""
    palette = style.phase_palette()
    points = [
        Line2D(
            [], [], color=palette[phase], marker=style.PHASE_MARKERS[phase], linestyle="", label=f"{phase} finetuning"
        )
        for phase in style.PHASES
    ]
    line = Line2D([], [], color="0.45", linewidth=0.8, linestyle=(0, (3, 2)), label=f"std = {STD_BELOW:g}")
    return [*points, line]


def _nonfinite_note(rows: pd.DataFrame) -> list[str]:
    """Say how many values were NaN or infinite and therefore not drawn."""
    count = int(rows["n_nonfinite"].sum())
    return [f"{count} NaN or infinite values are not drawn."] if count else []


def _with_caption(width: float, height: float, caption: str) -> tuple[Figure, SubFigure]:
    """Make a figure of the given size above a caption, and return it with the part to draw in."""
    lines = textwrap.wrap(caption, int(width * 15.5))
    room = 0.08 + 0.145 * len(lines)
    figure = Figure(figsize=(width, height + room), layout="constrained")
    parts = figure.add_gridspec(2, 1, height_ratios=[height, room])
    upper, lower = figure.add_subfigure(parts[0]), figure.add_subfigure(parts[1])
    lower.text(0.08 / width, 1.0, "\n".join(lines), fontsize=style.CAPTION_SIZE, color="0.25", va="top")
    return figure, upper


def _runs_caption(notes: list[str], joined_keys: pd.Series) -> str:
    """Join notes with the distinct run keys of rows that hold several each."""
    keys = sorted({key for keys in joined_keys for key in keys.split()})
    more = f" and {len(keys) - KEYS_SHOWN} more, see the CSV" if len(keys) > KEYS_SHOWN else ""
    return f"{' '.join(notes)} Runs: {' '.join(keys[:KEYS_SHOWN])}{more}."


def _name(kind: str, panel: tuple[str, str, str, str]) -> str:
    """Name the files of a figure after all that it shows."""
    scale, source, data, model = panel
    return f"{kind}-{data}-{model}-{scale}-{source}"
