"""What comparisons and whole families lack, and the commands that make it; `coverage` does the learning curves."""

import pandas as pd

from analysis.missing.coverage import COLUMNS, gap, never_run, plainest, unfinished
from analysis.settings import THEORY
from analysis.statistics.controlled import SETTING, finetuning
from analysis.statistics.stats import CELL, PANEL
from analysis.statistics.vanishing import from_pretrained

PAIR = ("expected_reinforce", "sft")  # that every controlled figure compares
CONTROLLED = "python src/train.py -m +sweep=controlled"


def missing_companions(runs: pd.DataFrame) -> pd.DataFrame:
    """List what runs lack to be compared with, one row per cell and reason, with the command that makes it.

    That is: a whole SFT beside RFT of a language model (Table 1, Figure 2); of controlled runs, seeds that another
    cell of the same figure has, and the one of PAIR that was never run; runs of all families but language that are
    not done.
    """
    rows = [*unfinished(runs[runs["family"] != "language"]), *_absent_sft(runs)]
    for _, here in finetuning(runs).groupby(SETTING):
        rows += [*_absent_seeds(here), *_absent_algos(here)]
    return pd.DataFrame(rows, columns=COLUMNS)


def absent_families(runs: pd.DataFrame) -> pd.DataFrame:
    """List the families of which there is no run at all, with the one command that makes each."""
    rows = [] if (runs["family"] == "controlled").any() else [_family("controlled experiments", CONTROLLED)]
    there = set(runs["algo"])
    if absent := [algo for algo in THEORY if algo not in there]:
        many = "-m " if len(absent) > 1 else ""
        presets = ",".join(f"theory/{algo}" for algo in absent)
        rows.append(_family("theory", f"python src/train.py {many}experiment={presets}", ",".join(absent)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _absent_sft(runs: pd.DataFrame) -> list[dict]:
    """List the panels whose RFT of the pretrained model has no whole SFT to be compared with."""
    rows = []
    for _, panel in from_pretrained(runs).groupby(PANEL):
        if "sft" not in set(panel["algo"]):
            cell = never_run(plainest(panel), "sft", same_loop=False) | {"hub_mirror": max(panel["hub_mirror"])}
            rows.append(gap(cell, "", "no whole SFT", panel["sweep"].iloc[0]))
    return rows


def _family(name: str, command: str, algos: str = "") -> dict:
    """Describe a family without runs."""
    return dict.fromkeys(COLUMNS, "") | {"data": name, "algo": algos, "reason": "no runs", "command": command}


def _absent_seeds(runs: pd.DataFrame) -> list[dict]:
    """List the seeds that a cell lacks and another cell of its figure has."""
    rows = []
    for _, cell in runs.groupby(CELL):
        if seeds := _joined(set(runs["seed"]) - set(cell["seed"])):
            rows.append(gap(cell.iloc[0], seeds, "never run", cell["sweep"].iloc[0]))
    return rows


def _absent_algos(runs: pd.DataFrame) -> list[dict]:
    """List the one of PAIR that a figure lacks, with the seeds that the figure has."""
    if not (absent := [algo for algo in PAIR if algo not in set(runs["algo"])]):
        return []
    cell = never_run(plainest(runs), ",".join(absent)) | {"hub_mirror": max(runs["hub_mirror"])}
    return [gap(cell, _joined(set(runs["seed"])), "never run", runs["sweep"].iloc[0])]


def _joined(seeds: set[int]) -> str:
    """Write seeds as an axis of a sweep."""
    return ",".join(map(str, sorted(seeds)))
