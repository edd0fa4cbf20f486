"""A row per setting, with the final test reward beside the KL to the start: seeds, their mean and its interval."""

import textwrap

import pandas as pd
import seaborn as sns
from matplotlib.figure import SubFigure

from analysis.drawing import layout, style
from rftlab import intervals

COLUMNS = {"reward": "reward, test prompts", "kl": style.LABELS["policy/kl"]}
WORDS = 34  # characters of a line beside a row
NOTE = "Hollow points: seeds; full points: their mean; interval: 95 % of the mean over the seeds (Student's t)."
ONE_SEED = "One seed has no interval."


def reduced(seeds: pd.DataFrame) -> pd.DataFrame:
    """Give each seed's row the mean of its label, the interval and n, for reward and KL.

    `seeds` has label, reward, kl (NaN where there is none) and run_keys: a row per label and seed.
    """
    parts = []
    for _, rows in seeds.groupby("label", sort=False):
        said: dict[str, float] = {"n": len(rows)}
        for name in COLUMNS:
            found = intervals.mean(rows[name].to_numpy())
            said |= {f"{name}_mean": found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        parts.append(rows.assign(**said))
    return pd.concat(parts, ignore_index=True)


def notes(data: pd.DataFrame) -> list[str]:
    """Say what is drawn, and of how many seeds."""
    counts = data["n"].unique()
    seeds = f"n = {layout.span(int(counts.min()), int(counts.max()))} seeds."
    return [NOTE, seeds, *([ONE_SEED] if (data["n"] == 1).any() else [])]


def height(data: pd.DataFrame) -> float:
    """Return the inches that the rows need."""
    labels = data["label"].unique()
    return 0.75 + sum(0.14 + 0.17 * len(_broken(label, 1)) for label in labels)


def draw(plots: SubFigure, data: pd.DataFrame) -> None:
    """Draw what `reduced` gives, the rows in its order, from above."""
    labels = list(dict.fromkeys(data["label"]))
    colour = sns.color_palette("colorblind", 1)[0]
    for axes, (name, words) in zip(plots.subplots(1, 2, sharey=True), COLUMNS.items(), strict=True):
        for place, label in enumerate(labels):
            rows = data[data["label"] == label]
            cell = rows.iloc[0]
            axes.plot(
                rows[name], [place] * len(rows), "o", color=colour, markersize=4, markerfacecolor="white", zorder=3
            )
            reach = [[cell[f"{name}_mean"] - cell[f"{name}_low"]], [cell[f"{name}_high"] - cell[f"{name}_mean"]]]
            axes.errorbar(
                [cell[f"{name}_mean"]], [place], xerr=reach, color=colour, marker="o", markersize=6, capsize=3
            )
        counts = data.groupby("label")["n"].first()
        axes.set_yticks(range(len(labels)), ["\n".join(_broken(label, counts[label])) for label in labels])
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set(xlabel=words)
        axes.grid(axis="x", alpha=0.3)
        sns.despine(ax=axes)


def _broken(label: str, n: int) -> list[str]:
    return textwrap.wrap(f"{label} (n={n})", WORDS)
