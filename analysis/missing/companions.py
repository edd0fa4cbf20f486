"""Runs that others are to be compared with and that were never made."""

from collections.abc import Sequence

import pandas as pd

from analysis.missing.coverage import gap, joined, never_run, plainest
from analysis.settings import AFTER_SFT
from analysis.statistics.stats import PANEL
from analysis.statistics.vanishing import from_pretrained


def absent_algos(runs: pd.DataFrame, algos: Sequence[str]) -> list[dict]:
    """List which of some algorithms a panel of language runs lacks, under each heuristic that it has."""
    rows = []
    for _, panel in runs.groupby(PANEL):
        compared = panel[panel["algo"].isin(algos)]
        begun = set(compared["heuristic"])
        for heuristic in sorted(begun if AFTER_SFT in begun else {"none", *begun}):
            here = compared[compared["heuristic"] == heuristic]
            if absent := [algo for algo in algos if algo not in set(here["algo"])]:
                like = next(cells for cells in (here, compared, panel) if len(cells))
                first = never_run(plainest(like), ",".join(absent), heuristic, same_loop=len(compared) > 0)
                rows.append(gap(first | _mirror(panel), "", "never run", like["sweep"].iloc[0]))
    return rows


def absent_pair(runs: pd.DataFrame, algos: Sequence[str], by: list[str]) -> list[dict]:
    """List which of some algorithms a figure of controlled runs lacks, with the seeds that the figure has."""
    rows = []
    for _, figure in runs.groupby(by):
        if absent := [algo for algo in algos if algo not in set(figure["algo"])]:
            cell = never_run(plainest(figure), ",".join(absent)) | _mirror(figure)
            rows.append(gap(cell, joined(set(figure["seed"])), "never run", figure["sweep"].iloc[0]))
    return rows


def absent_sft(runs: pd.DataFrame) -> list[dict]:
    """List the panels whose RFT of the pretrained model has no whole SFT to be compared with."""
    rows = []
    for _, panel in from_pretrained(runs).groupby(PANEL):
        if "sft" not in set(panel["algo"]):
            cell = never_run(plainest(panel), "sft", same_loop=False) | _mirror(panel)
            rows.append(gap(cell, "", "no whole SFT", panel["sweep"].iloc[0]))
    return rows


def _mirror(runs: pd.DataFrame) -> dict[str, str]:
    """Take the mirror of any of these runs rather than none."""
    return {"hub_mirror": max(runs["hub_mirror"])}
