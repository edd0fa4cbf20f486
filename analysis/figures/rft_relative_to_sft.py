"""Razin et al. 2024, Figures 2 and 9: final train reward of RFT over (and minus) that of SFT.

The train reward is that of sampled responses to the probe prompts (`probe/reward_mean`), at one temperature for all.

It stands against a low percentile of the pretrain reward std, a point per dataset and model: the 10th, then the 5th to
30th.
"""

from collections.abc import Iterator

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing.companions import absent_sft
from analysis.missing.wanted import LANGUAGE
from analysis.statistics import stats, vanishing
from analysis.statistics.frames import Frames
from analysis.statistics.vanishing import PERCENTILE

SIDES = {"ratio": "train reward, RFT / SFT", "difference": "train reward, RFT - SFT"}
WANTED = LANGUAGE


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each scale and source twice: against one percentile, and against each of several."""
    for here in stats.parts(frames.once(vanishing.rft_beside_sft), stats.KIND):
        yield titled(picture, here)
        yield titled(picture_of_percentiles, here)


def gaps(runs: pd.DataFrame) -> list[dict]:
    """List RFT that has no SFT to be compared with."""
    return absent_sft(runs)


def picture(points: pd.DataFrame) -> Drawn:
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


def picture_of_percentiles(points: pd.DataFrame) -> Drawn:
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


def _ratio_note(points: pd.DataFrame) -> str:
    """Say what a point is and which have no ratio."""
    missing = int(points.loc[points["percentile"] == points["percentile"].min(), "ratio"].isna().sum())
    note = (
        "A point is a dataset and model; reward: of samples, mean over seeds; bar: minimum to maximum of RFT's seeds."
    )
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
