"""The reward std within each prompt before any training, of every diagnosed dataset and model.

A row is a diagnosis and a point a prompt; beside it stands the share of prompts whose gradient vanishes (std < 0.05),
with its 95 % interval over prompts. Rows are in the order of that share.
"""

from collections.abc import Iterator

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.statistics import stats
from analysis.statistics.frames import Frames
from analysis.statistics.spectrum import of_diagnoses, spectrum

TICKS = (0, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100)
GOLDEN = 0.618  # steps of this share of an interval fill it evenly
WANTED = ()  # no run is missing: nobody is asked to diagnose
SHOWN = ["run_key", "prompt_id", "reward_mean", "reward_std"]  # of a point; the rest is of its row


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each scale and source."""
    rows = frames.once(spectrum)
    for here in stats.parts(rows, stats.KIND):
        yield titled(picture, here, prompts=of_diagnoses(frames.prompts, here))


def picture(rows: pd.DataFrame, prompts: pd.DataFrame) -> Drawn:
    """Draw the diagnoses of one scale and source.

    `rows` is what `spectrum` returns, and `prompts` what `of_diagnoses` says of the prompts of these runs.
    """
    kind = layout.single_kind(rows)
    rows = rows.sort_values(["share", "median_std", "data", "run_keys"], ascending=[False, True, True, True])
    rows = _labelled(rows.reset_index(drop=True))
    points = prompts[SHOWN].merge(rows, left_on="run_key", right_on="run_keys")
    points = points.sort_values(["share", "run_key", "prompt_id"], ascending=[False, True, True], ignore_index=True)
    caption = layout.runs_caption(_notes(rows), rows["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, 0.9 + 0.42 * len(rows), caption)
        _draw_rows(plots.subplots(), rows, points)
        plots.suptitle(f"Reward std within prompts before training  ·  {style.kind_title(*kind)}")
    return Drawn(layout.kind_name("spectrum", *kind), figure, points.drop(columns=["label", "run_keys"]))


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Give each row a label of its own: where seeds alone differ, with the run key."""
    labels = pd.Series([_label(row) for row in rows.to_dict("records")], index=rows.index)
    alike = labels.duplicated(keep=False)
    return rows.assign(label=labels.where(~alike, labels + ", " + rows["run_keys"]))


def _label(row: dict) -> str:
    """Name a diagnosis: its dataset and model, below them its reward and what sets it apart."""
    words = [row["reward"].replace("_", " "), *map(style.override_in_words, row["variant"].split())]
    return f"{layout.model_label(row['data'], row['model'])}\n{', '.join(words)}"


def _notes(rows: pd.DataFrame) -> list[str]:
    """Say what points, line and percentages are, and in which units."""
    samples = layout.span(rows["n_samples"].min(), rows["n_samples"].max())
    notes = [
        f"A point is a train prompt: the std of the reward of {samples} responses; bar: the median over prompts.",
        f"The axis is linear up to {stats.STD_BELOW:g} (dashed), then logarithmic. Percentages: prompts below it,",
        "95 % interval over prompts; none where every train prompt was sampled.",
    ]
    if (rows["std_below"] != stats.STD_BELOW).any():
        notes.append("The std is divided by the width of the interval of the reward.")
    if "learned" in set(rows["reward"]):
        notes.append("Scores of a learned reward have no fixed scale: compare that row with no other.")
    return [*notes, *layout.nonfinite_note(rows)]


def _draw_rows(axes: Axes, rows: pd.DataFrame, points: pd.DataFrame) -> None:
    """Draw a strip of points for each row, their median, the threshold, and the share below it."""
    places = points["label"].map(list(rows["label"]).index)
    beside = (points.groupby("label").cumcount() * GOLDEN) % 1 - 0.5  # so that points do not hide each other
    unit = stats.STD_BELOW / points["std_below"]  # the threshold stands at one place for all
    drawn = points.assign(std=points["reward_std"] * unit, place=places + 0.6 * beside)
    axes.axvline(stats.STD_BELOW, color="0.45", linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    sns.scatterplot(
        drawn, x="std", y="place", hue="model", palette="colorblind", s=9, alpha=0.6, linewidth=0, legend=False,
        rasterized=True, ax=axes,
    )  # fmt: skip
    for place, row in enumerate(rows.to_dict("records")):
        middle = row["median_std"] * stats.STD_BELOW / row["std_below"]
        axes.plot([middle, middle], [place - 0.38, place + 0.38], color="0.1", linewidth=1.4)
        axes.annotate(
            _share(row), (1.01, place), xycoords=("axes fraction", "data"), va="center", annotation_clip=False
        )
    axes.set_xscale("symlog", linthresh=stats.STD_BELOW)
    axes.set_xlim(left=-0.1 * stats.STD_BELOW)
    axes.set_xticks([tick for tick in TICKS if tick <= drawn["std"].max()])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(rows)), list(rows["label"]))
    axes.set(xlabel="reward std of a prompt", ylabel="", ylim=(len(rows) - 0.5, -0.5))
    sns.despine(ax=axes)


def _share(row: dict) -> str:
    """Write the share of prompts below the threshold, with its interval where it has one, and how many prompts."""
    interval = "" if row["whole"] else f" [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"
    return f"{100 * row['share']:.0f} %{interval}\nn={row['n_prompts']}"
