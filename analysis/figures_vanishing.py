"""Figures of what the reward std foretells: correlations, RFT relative to SFT, vanishing prompts over training."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from analysis import layout, style
from analysis.save import Drawn
from analysis.stats import STD_BELOW
from analysis.vanishing import FEWEST, PERCENTILE

SIDES = {"ratio": "train reward, RFT / SFT", "difference": "train reward, RFT - SFT"}


def correlations(table: pd.DataFrame) -> Drawn:
    """Draw the correlation of pretrain std and reward change with its interval: a block per dataset and model.

    `table` is what `vanishing.correlation_table` returns, of one scale and source.
    """
    scale, source = layout.single_kind(table)
    lines = _lines(table)
    prompts = layout.span(table["n_prompts"].min(), table["n_prompts"].max())
    notes = [
        "Pearson correlation, over train prompts, of the reward std before finetuning with |mean after - mean before|;",
        f"averaged over n runs; bar: 95 % bootstrap interval over the {prompts} prompts of a run"
        + (f", none under {FEWEST}." if table["n_prompts"].min() < FEWEST else "."),
        *([f"{count} values that are not finite are left out."] if (count := table["n_nonfinite"].sum()) else []),
    ]
    with style.print_style():
        height = 0.75 + 0.22 * len(lines)
        figure, plots = layout.with_caption(style.WIDTH, height, layout.runs_caption(notes, table["run_keys"]))
        axes = plots.subplots()
        palette = style.colours(list(layout.hue(table)))
        for position, line in enumerate(lines):
            if line["row"] is not None:
                _draw_correlation(axes, -position, line["row"], palette)
        axes.set_yticks([-i for i in range(len(lines))], [line["label"] for line in lines])
        for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
            tick.set_fontweight("bold" if line["row"] is None else "normal")
        axes.axvline(0, color="0.45", linewidth=0.8, zorder=0)
        axes.set(xlim=(-1.05, 1.05), ylim=(0.6 - len(lines), 0.6), xlabel="correlation")
        axes.tick_params(axis="y", length=0)
        sns.despine(ax=axes, left=True)
        plots.suptitle(
            f"Does the pretrain reward std foretell the change of the reward?\n{style.kind_title(scale, source)}"
        )
    return Drawn(layout.kind_name("reward_change_correlation", scale, source), figure, table)


def relative_reward(points: pd.DataFrame) -> Drawn:
    """Draw RFT's train reward relative to SFT's against a low percentile of the pretrain std, a point per dataset.

    `points` is what `vanishing.relative_reward` returns, of one scale and source; the figure shows PERCENTILE.
    """
    drawn = points[points["percentile"] == PERCENTILE].reset_index(drop=True)
    scale, source = layout.single_kind(drawn)
    looks = _point_looks(drawn)
    caption = layout.runs_caption([_ratio_note(drawn)], drawn["run_keys"])
    with style.print_style():
        height = 2.9 + 0.17 * ((len(looks) + 1) // 2)
        figure, plots = layout.with_caption(style.WIDTH, height, caption)
        for axes, (side, label) in zip(plots.subplots(1, len(SIDES)), SIDES.items(), strict=True):
            _draw_points(axes, drawn, looks, side)
            axes.set(xlabel=f"{PERCENTILE}th percentile of the pretrain reward std", ylabel=label)
        plots.suptitle(f"Reinforcement relative to supervised finetuning\n{style.kind_title(scale, source)}")
        plots.legend(handles=_point_handles(looks), loc="outside lower center", ncols=2)
    return Drawn(layout.kind_name("rft_relative_to_sft", scale, source), figure, drawn)


def relative_reward_percentiles(points: pd.DataFrame) -> Drawn:
    """Draw the same ratio against each of several percentiles."""
    scale, source = layout.single_kind(points)
    looks = _point_looks(points)
    percentiles = sorted(points["percentile"].unique())
    caption = layout.runs_caption([_ratio_note(points)], points["run_keys"])
    with style.print_style():
        height = 2.5 + 0.17 * ((len(looks) + 1) // 2)
        figure, plots = layout.with_caption(style.WIDTH, height, caption)
        grid = plots.subplots(1, len(percentiles), sharey=True, squeeze=False).ravel()
        for axes, percentile in zip(grid, percentiles, strict=True):
            _draw_points(axes, points[points["percentile"] == percentile], looks, "ratio")
            axes.set_xlabel(f"{percentile}th percentile")
            axes.xaxis.set_major_locator(MaxNLocator(3))
        grid[0].set_ylabel(SIDES["ratio"])
        about = "Reinforcement relative to supervised finetuning, against percentiles of the pretrain reward std"
        plots.suptitle(f"{about}\n{style.kind_title(scale, source)}")
        plots.legend(handles=_point_handles(looks), loc="outside lower center", ncols=2)
    return Drawn(layout.kind_name("rft_relative_to_sft_percentiles", scale, source), figure, points)


def vanishing_over_training(curves: pd.DataFrame) -> Drawn:
    """Draw the share of prompts with a vanishing gradient against iterations, or optimiser steps of supervised runs.

    `curves` is what `vanishing.share_over_training` returns, of one scale, source, dataset and model.
    """
    panel = layout.single_panel(curves)
    cells = layout.cells(curves)
    looks = style.looks(list(cells["hue"]), list(cells["heuristic"]))
    prompts = layout.span(curves["n_prompts"].min(), curves["n_prompts"].max())
    notes = [
        f"Share of prompts with reward std < {STD_BELOW:g}, of the {prompts} train prompts looked at during training;",
        "first and last point: the same prompts before and after it.",
        "Line: mean over the n seeds; band: their minimum to maximum.",
    ]
    caption = layout.runs_caption(notes, curves["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 3.0 + 0.17 * ((len(cells) + 1) // 2), caption)
        axes = plots.subplots()
        layout.draw_metric(axes, curves, looks)
        axes.set(xlabel=layout.step_label(cells["algo"].unique()), ylim=(-0.02, 1.02))
        axes.set_ylabel("prompts with a vanishing gradient")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        sns.despine(ax=axes)
        plots.suptitle(style.panel_title(*panel))
        handles = [layout.line_handle(cell, looks) for _, cell in cells.iterrows()]
        plots.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=3.5)
    return Drawn(layout.file_name("vanishing_over_training", panel), figure, curves)


def _lines(table: pd.DataFrame) -> list[dict]:
    """List the lines of the correlation figure: a header per dataset and model, then its algorithms."""
    lines: list[dict] = []
    order = style.algo_order(list(table["algo"]))
    for _, block in table.groupby(["data", "model"]):
        lines.append({"label": layout.model_label(block["data"].iloc[0], block["model"].iloc[0]), "row": None})
        ranked = block.assign(rank=block["algo"].map(order.index)).sort_values(["rank", "variant"])
        lines += [
            {"label": f"{layout.setting_label(row['algo'], row['variant'])} (n={row['n']})", "row": row}
            for row in ranked.to_dict("records")
        ]
    return lines


def _draw_correlation(axes: Axes, position: int, row: dict, palette: dict[str, style.Colour]) -> None:
    """Draw one correlation with its interval, or why there is none."""
    if row["n"] == 0:
        axes.text(
            0.03, position, f"undefined: {row['undefined']}", va="center", fontsize=style.CAPTION_SIZE, color="0.25"
        )
        return
    colour = palette[f"{row['algo']} {row['variant']}".strip()]
    axes.plot([row["low"], row["high"]], [position, position], color=colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot(row["r"], position, color=colour, marker="o", markersize=5, markeredgecolor="white")
    side = 1.0 if row["high"] < 0.65 else -1.0  # where the text has room
    edge, align = (row["high"], "left") if side > 0 else (row["low"], "right")
    words: dict = {"va": "center", "ha": align, "fontsize": style.CAPTION_SIZE, "color": "0.25"}
    axes.text(edge + 0.03 * side, position, f"{row['r']:.2f} [{row['low']:.2f}, {row['high']:.2f}]", **words)


def _ratio_note(points: pd.DataFrame) -> str:
    """Say what a point is and which have no ratio."""
    missing = int(points.loc[points["percentile"] == points["percentile"].min(), "ratio"].isna().sum())
    note = "A point is a dataset and model; reward: mean over seeds; bar: minimum to maximum over RFT's seeds."
    return note + (f" {missing} points have no ratio, as SFT's reward is zero." if missing else "")


def _point_looks(points: pd.DataFrame) -> pd.DataFrame:
    """Return one row per point: what it is, colour (of the RFT setting), marker (of the dataset and model), label.

    Of one dataset and model, each of the first four points is smaller than those drawn before it, so that equal ones
    show as rings.
    """
    keys = ["data", "model", "algo", "variant", "sft_variant"]
    rows = points[[*keys, "n_rft", "n_sft"]].drop_duplicates().sort_values(keys).reset_index(drop=True)
    hues, names = layout.hue(rows), rows["data"] + " " + rows["model"]
    palette, order = style.colours(list(hues)), sorted(set(names))
    labels = [
        f"{layout.model_label(row['data'], row['model'])}: {layout.setting_label(row['algo'], row['variant'])} / "
        f"{layout.setting_label('sft', row['sft_variant'])} (n={row['n_rft']} / {row['n_sft']})"
        for row in rows.to_dict("records")
    ]
    markers = [style.MARKERS[order.index(name) % len(style.MARKERS)] for name in names]
    sizes = (9.0 - 2.5 * rows.groupby(["data", "model"]).cumcount()).clip(lower=3.0)
    return rows.assign(colour=[palette[hue] for hue in hues], marker=markers, size=sizes, label=labels)


def _draw_points(axes: Axes, points: pd.DataFrame, looks: pd.DataFrame, side: str) -> None:
    """Draw the points of one percentile with the range over RFT's seeds, and the line where both are equal."""
    keys = ["data", "model", "algo", "variant", "sft_variant"]
    for row in looks[[*keys, "colour", "marker", "size"]].merge(points, on=keys).to_dict("records"):
        ends = [row["rft_min"] - row["sft"], row["rft_max"] - row["sft"]]
        low, high = (row["ratio_min"], row["ratio_max"]) if side == "ratio" else ends
        axes.plot([row["std"]] * 2, [low, high], color=row["colour"], linewidth=1.0)
        point: dict = {"markersize": row["size"], "markeredgecolor": "white", "zorder": 3}
        axes.plot(row["std"], row[side], row["marker"], color=row["colour"], **point)
    axes.axhline(1.0 if side == "ratio" else 0.0, color="0.45", linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    right = 1.08 * max(points["std"].max(), 0.01)
    axes.set_xlim(-0.03 * right, right)
    sns.despine(ax=axes)


def _point_handles(looks: pd.DataFrame) -> list[Line2D]:
    """Build the legend of the points."""
    return [
        Line2D(
            [], [], color=row["colour"], marker=row["marker"], markersize=row["size"], linestyle="",
            markeredgecolor="white", label=row["label"],
        )
        for row in looks.to_dict("records")
    ]  # fmt: skip
