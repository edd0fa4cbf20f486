"""Which of two policies a judge prefers, as `src/judge.py` stored it (Zhu et al. 2023, Figure 1).

Shares of prompts won, tied and lost with the win rate and its interval, and beside it the position bias; a row per
comparison, of one dataset, scale and source.
"""

import textwrap
from collections.abc import Iterator

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing import uncompared as pairs
from analysis.missing.wanted import APA_JUDGED
from analysis.statistics import stats, win_rates
from analysis.statistics.frames import Frames

WANTED = APA_JUDGED
WORDS = 36  # characters of a line beside a row
EDGE = 0.02  # of the axis beyond 0 and 1, so that a point there is whole
SETTINGS = {"a": "variant", "b": "sft_variant"}  # columns whose shared words go into the title
SHADES = {"won": "0.55", "tied": "0.75", "lost": "0.9"}
NOTE = (
    "Bars: prompts that A wins (dark), ties (lined) and B wins (light). Point: win rate of A, ties counted half, with "
    "its 95 % interval over prompts, which holds neither another seed nor another judge. n: prompts judged."
)
BIAS = "Position bias: how often the response shown first is preferred, 0.5 = none."
NO_ORDER = "A reward model reads one response at a time and has no position bias."


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each dataset, scale and source with a comparison of two of the runs."""
    for here in stats.parts(win_rates.sided(frames, order_of(frames.runs)), win_rates.GROUP):
        yield titled(picture, here.rename(columns={f"{side}_variant": name for side, name in SETTINGS.items()}))


def uncompared(runs: pd.DataFrame, comparisons: pd.DataFrame) -> list[dict]:
    """List the pairs of policies that nobody has compared."""
    return pairs.uncompared(runs, comparisons)


def order_of(runs: pd.DataFrame) -> list[str]:
    """Order algorithms as figures do, but for supervised finetuning: others are compared with it, so it is last."""
    return sorted(style.algo_order(list(runs["algo"])), key=lambda algo: algo == "sft")


def _per_algorithm(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Map each algorithm to the words that all its settings share."""
    sides = [rows[[f"{side}_algo", column]].set_axis(["algo", "variant"], axis=1) for side, column in SETTINGS.items()]
    both = pd.concat(sides, ignore_index=True).groupby("algo")["variant"]
    return {str(algo): layout.shared_words(variants) for algo, variants in both}


def _without(rows: pd.DataFrame, shared: dict[str, list[str]]) -> pd.DataFrame:
    """Leave in the settings what tells the runs of one algorithm apart."""
    for side, column in SETTINGS.items():
        named = zip(rows[f"{side}_algo"], rows[column], strict=True)
        kept = [" ".join(word for word in variant.split() if word not in shared[algo]) for algo, variant in named]
        rows = rows.assign(**{column: kept})
    return rows


def _in_words(shared: dict[str, list[str]]) -> list[str]:
    said = {algo: " ".join(layout.setting_lines(words).split()) for algo, words in shared.items()}
    return [f"{style.name(algo)}: {said[algo]}." for algo in style.algo_order(list(said)) if said[algo]]


def picture(rows: pd.DataFrame) -> Drawn:
    """Draw the comparisons of one dataset; `rows` is what `win_rates.sided` returns, the settings named by SETTINGS."""
    scale, source, data = rows[win_rates.GROUP].iloc[0]
    shared = _per_algorithm(rows)
    rows = _without(rows, shared)
    rows = rows.assign(label=[_label(row) for row in rows.to_dict("records")])
    notes = [NOTE, *_in_words(shared)]
    notes += [BIAS] if (rows["orders"] > 1).any() else []
    notes += [NO_ORDER] if (rows["orders"] == 1).any() else []
    height = 0.8 + sum(0.14 + 0.17 * len(label.split("\n")) for label in rows["label"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, height, layout.runs_caption(notes, rows["run_keys"]))
        ordered = (rows["orders"] > 1).any()  # of a judge with one order there is no bias to draw
        panels = plots.subplots(1, 2, sharey=True, width_ratios=[2, 1]) if ordered else [plots.subplots()]
        _draw_rates(panels[0], rows)
        for right in panels[1:]:
            _estimates(right, rows, "bias", sns.color_palette("colorblind")[3])
            right.set(xlabel="position bias")
            right.tick_params(axis="y", left=False)
        for axes in panels:
            axes.set(xlim=(-EDGE, 1 + EDGE))
            axes.axvline(0.5, color="0.3", linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
            sns.despine(ax=axes)
        models = ", ".join(sorted({*rows["a_model"], *rows["b_model"]}))
        plots.suptitle(style.panel_title(scale, source, data, models))
    said = rows.assign(label=rows["label"].str.replace("\n", " "))
    return Drawn("-".join(["win_rates", data, scale, source]), figure, said)


def _draw_rates(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw shares as one bar per row, and the win rate above it."""
    places, start = range(len(rows)), pd.Series(0.0, rows.index)
    for name, shade in SHADES.items():
        share = rows[name] / rows["judged"].clip(lower=1)
        hatch = "////" if name == "tied" else None
        axes.barh(places, share, left=start, height=0.6, color=shade, edgecolor="white", linewidth=0, hatch=hatch)
        start = start + share
    _estimates(axes, rows, "rate", sns.color_palette("colorblind")[0])
    axes.set_yticks(places, rows["label"])
    axes.set(xlabel="share of prompts: A wins, ties, B wins; win rate of A", ylim=(len(rows) - 0.5, -0.5))


def _estimates(axes: Axes, rows: pd.DataFrame, name: str, colour: style.Colour) -> None:
    reach = [rows[name] - rows[f"{name}_low"], rows[f"{name}_high"] - rows[name]]
    axes.errorbar(
        rows[name], range(len(rows)), xerr=reach, color=colour, marker="o", markersize=5, capsize=3, linestyle=""
    )


def _label(row: dict) -> str:
    """Name a comparison: A against B, their seeds, the judge, and how many prompts were judged of how many."""
    same = row["a_seed"] == row["b_seed"]
    a, b = (_named(row, side, "" if same else f" seed {row[f'{side}_seed']}") for side in ("a", "b"))
    seeds = [f"seed {row['a_seed']}"] if same else []
    n = f"n={row['judged']}" if row["judged"] == row["prompts"] else f"n={row['judged']} of {row['prompts']} prompts"
    lines = [f"A {a} against B {b}", ", ".join([*seeds, n]), f"judge {row['judge']}"]
    return "\n".join(part for line in lines for part in textwrap.wrap(line, WORDS))


def _named(row: dict, side: str, seed: str) -> str:
    label = layout.setting_label(row[f"{side}_algo"], row[SETTINGS[side]])
    return layout.with_beginning(label, row[f"{side}_heuristic"]) + seed
