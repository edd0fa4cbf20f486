"""The part of `docs/datasets.md` that finished diagnoses give: how many prompts have a vanishing gradient."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TITLE = "## Before training: the spectrum"
COLUMNS = (
    "dataset", "source", "scale", "model", "reward", "prompts", "samples", "responses", "mean reward", "median std",
    "std < 0.05", "of these low", "run",
)  # fmt: skip
KEY = 5  # columns that tell a diagnosis from others: a newer one replaces a line that has the same
NONE = "-"
TEXT = f"""{TITLE}

    python src/train.py -m +sweep=spectrum                    # real rows: data.source=hub paths.hub_mirror=DIR data=A,B
    python -m rftlab.commands.datasets --diagnoses OUTPUTS/SWEEP        # this table, from the files of the runs in it

What diagnoses of 100 train prompts x 10 responses found, before SFT and RFT (`algo=diagnose`). `make figures` draws the
same as `spectrum-SCALE-SOURCE`.

- mean reward: over prompts; median std: of the reward within a prompt, the median over prompts.
- std < 0.05: share of prompts whose expected gradient counts as vanishing, with the 95 % interval over prompts that the
  figures give; none where every train prompt was sampled. The threshold is ours, for rewards in [0, 1].
- of these low: share of those prompts whose mean reward is below the dataset's `data.low_reward`.
- METEOR had no WordNet here: words and their stems match, synonyms do not.
- `learned` is a reward model trained on the pairs first. Its scores have no fixed scale: 0.05 is not that of others.

A tiny model on generated rows, and a tiny model that never read the real ones, say how they behave there and nothing of
a paper's model.
"""
WHY = """Some are missing on purpose. The embedded classifier of IMDB is at chance on real reviews, and refused there:
imdb (mirror, mini). So is a reward model whose accuracy on held-out pairs may be chance, or no more than that of
preferring the longer reply: a tiny model's of hh, stack_exchange and tldr (mirror, mini), which learns from few real
pairs, and that of SmolLM2 for hh and stack_exchange (mirror, small), under that recipe.
`reward.at_chance=true` takes either all the same, and then no score of it means much."""


def diagnosed(sweep: Path) -> list[str]:
    """Write a line for each finished diagnosis in the folder of a sweep.

    The statistics are those of the figures, so that one measurement has one interval wherever it is shown; the analysis
    lies beside `src` and loads only here.
    """
    from analysis import load
    from analysis.statistics.frames import Frames
    from analysis.statistics.spectrum import spectrum

    runs, prompts = (read(sweep.parent, [sweep.name]) for read in (load.load_runs, load.load_prompts))
    nothing = runs.iloc[:0]
    return [_line(row) for row in spectrum(Frames(runs, nothing, prompts, nothing)).to_dict("records")]


def _line(row: Mapping[str, Any]) -> str:
    interval = "" if row["whole"] else f" [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"
    low = NONE if math.isnan(row["share_low"]) else f"{100 * row['share_low']:.0f} %"
    cells = [row["data"], row["source"], row["scale"], row["model"], row["reward"]]
    cells += [f"{row['n_prompts']}", f"{row['n_samples']}", row["responses"]]
    cells += [f"{row['reward_mean']:.3f}", f"{row['median_std']:.3f}"]
    cells += [f"{100 * row['share']:.0f} %{interval}", low, f"`{row['run_keys']}`"]
    return f"| {' | '.join(cells)} |"


def joined(page: str, new: Sequence[str]) -> list[str]:
    """Join the lines of diagnoses that a page has with new ones, which replace those of the same cell; in order."""
    standing = re.findall(r"^\| (?!dataset |---).*\|$", page.partition(TITLE)[2], flags=re.MULTILINE)
    by_cell = {_cells(line)[:KEY]: line for line in [*standing, *new]}
    return [by_cell[cell] for cell in sorted(by_cell)]


def _cells(line: str) -> tuple[str, ...]:
    return tuple(line.strip("| ").split(" | "))


def section(lines: Sequence[str], there: Sequence[tuple[str, str]]) -> list[str]:
    """Write the part of the page; `there` are dataset and source of all rows: those without a line are named."""
    header = [f"| {' | '.join(row)} |" for row in (COLUMNS, ["---"] * len(COLUMNS))]
    return [TEXT, *header, *lines, *_missing(lines, there)]


def _missing(lines: Sequence[str], there: Sequence[tuple[str, str]]) -> list[str]:
    """Name the cells without a diagnosis, of each source and scale that has some."""
    found = {_cells(line)[:3] for line in lines}
    kinds = sorted({(source, scale) for _, source, scale in found})
    absent = [
        f"{name} ({source}, {scale})"
        for source, scale in kinds
        for name, where in there
        if where == source and not any(each[1:] == (source, scale) and _is(each[0], name) for each in found)
    ]
    return ["", f"No diagnosis here: {', '.join(absent)}.", WHY] if absent else []


def _is(found: str, name: str) -> bool:
    """Say whether the name of what was loaded is that of a dataset; real rows may add the name of the hub's."""
    return found == name or found.startswith(f"{name}-")
