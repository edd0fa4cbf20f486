"""Razin et al. 2024, Table 1: correlation over prompts of the reward std before finetuning with the change of the mean.

A line per algorithm, with all datasets and models of a scale and source; below each, in grey, what chance alone gives:
the correlation for the untrained policy drawn twice.
"""

import math
from collections.abc import Iterator

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing.companions import absent_sft
from analysis.missing.wanted import LANGUAGE
from analysis.statistics import stats, vanishing
from analysis.statistics.frames import Frames
from analysis.statistics.stats import STD_BELOW
from analysis.statistics.vanishing import FEWEST

WANTED = LANGUAGE
NULL_BELOW = 0.38  # of the distance between two lines
NULL_COLOUR = (0.55, 0.55, 0.55)
WORDS: dict = {"fontsize": style.CAPTION_SIZE, "color": "0.25"}


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each scale and source."""
    for here in stats.parts(frames.once(vanishing.foretold_changes), stats.KIND):
        yield titled(picture, here)


def gaps(runs: pd.DataFrame) -> list[dict]:
    """List RFT that has no SFT to be compared with."""
    return absent_sft(runs)


def picture(table: pd.DataFrame) -> Drawn:
    """Draw the correlation of pretrain std and reward change with its interval: a block per dataset and model.

    `table` is what `vanishing.foretold_changes` returns, of one scale and source.
    """
    scale, source = layout.single_kind(table)
    lines = _lines(table)
    prompts = layout.span(table["n_prompts"].min(), table["n_prompts"].max())
    notes = [
        "Pearson correlation, over train prompts, of the reward std before finetuning with |mean after - mean before|;",
        f"averaged over n runs; bar: 95 % bootstrap interval over the {prompts} prompts of a run"
        + (f", none under {FEWEST}." if table["n_prompts"].min() < FEWEST else "."),
        *_null_notes(table),
        *([f"{count} values that are not finite are left out."] if (count := table["n_nonfinite"].sum()) else []),
    ]
    with style.print_style():
        height = 0.75 + (0.34 if table["n_null"].any() else 0.22) * len(lines)
        figure, plots = layout.with_caption(style.WIDTH, height, layout.runs_caption(notes, table["run_keys"]))
        axes = plots.subplots()
        hues = layout.hue(table)
        colours = style.colours(list(hues))
        palette = {cell: colours[hue] for cell, hue in zip(table["cell"], hues, strict=True)}
        for position, line in enumerate(lines):
            if line["row"] is not None:
                _draw_correlation(axes, -position, line["row"], palette)
            elif not math.isnan(line["crossing"]):
                axes.text(
                    -1.0,
                    -position,
                    f"{100 * line['crossing']:.0f} % of prompts cross std {STD_BELOW:g} by chance",
                    va="center",
                    **WORDS,
                )
        axes.set_yticks([-i for i in range(len(lines))], [line["label"] for line in lines])
        for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
            tick.set_fontweight("bold" if line["row"] is None else "normal")
        axes.axvline(0, color="0.45", linewidth=0.8, zorder=0)
        axes.set(
            xlim=(-1.05, 1.05), ylim=((0.3 if table["n_null"].any() else 0.4) - len(lines), 0.6), xlabel="correlation"
        )
        axes.tick_params(axis="y", length=0)
        sns.despine(ax=axes, left=True)
        plots.suptitle(
            f"Does the pretrain reward std foretell the change of the reward?\n{style.kind_title(scale, source)}"
        )
    return Drawn(layout.kind_name("reward_change_correlation", scale, source), figure, table)


def _null_notes(table: pd.DataFrame) -> list[str]:
    """Say what stands in grey."""
    if not table["n_null"].any():
        return ["No run drew the untrained policy twice (eval.probe_null): what chance gives is not known."]
    return [
        "Grey: the same for the untrained policy, drawn a second time instead of trained, so chance alone;",
        "a correlation says something of training as far as it is above that.",
        f"Crossing by chance: the std of a prompt is on the other side of {STD_BELOW:g} in that second draw.",
    ]


def _lines(table: pd.DataFrame) -> list[dict]:
    """List the lines of the correlation figure: a header per dataset and model, then its algorithms."""
    lines: list[dict] = []
    order = style.algo_order(list(table["algo"]))
    for _, block in table.groupby(["data", "model"]):
        label = layout.model_label(block["data"].iloc[0], block["model"].iloc[0])
        lines.append({"label": label, "row": None, "crossing": block["crossing"].mean()})
        ranked = block.assign(rank=block["algo"].map(order.index)).sort_values(["rank", "variant"])
        lines += [
            {"label": f"{layout.setting_label(row['algo'], row['variant'])} (n={row['n']})", "row": row}
            for row in ranked.to_dict("records")
        ]
    return lines


def _draw_correlation(axes: Axes, position: int, row: dict, palette: dict[str, style.Colour]) -> None:
    """Draw one correlation with its interval, or why there is none."""
    if row["n"] == 0:
        axes.text(0.03, position, f"undefined: {row['undefined']}", va="center", **WORDS)
        return
    colour = palette[row["cell"]]
    _draw_interval(axes, position, [row[name] for name in ("r", "low", "high")], colour, "o")
    if row["n_null"]:
        null = [row[name] for name in ("null", "null_low", "null_high")]
        _draw_interval(axes, position - NULL_BELOW, null, NULL_COLOUR, "D", "chance ")


def _draw_interval(
    axes: Axes, position: float, values: list[float], colour: style.Colour, marker: str, word: str = ""
) -> None:
    """Draw a value with its interval, and write them beside it where there is room."""
    value, low, high = values
    axes.plot([low, high], [position, position], color=colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot(
        value, position, color=colour, marker=marker, markersize=5 if marker == "o" else 4, markeredgecolor="white"
    )
    side = 1.0 if high < 0.65 - 0.03 * len(word) else -1.0
    edge, align = (high, "left") if side > 0 else (low, "right")
    text = f"{word}{value:.2f} [{low:.2f}, {high:.2f}]"
    axes.text(edge + 0.03 * side, position, text, va="center", ha=align, **WORDS)
