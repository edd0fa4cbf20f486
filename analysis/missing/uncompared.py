"""Pairs of policies that no judge has compared, and the command that does."""

from itertools import combinations

import pandas as pd

from analysis.missing.coverage import COLUMNS, joined
from analysis.statistics import stats
from rftlab.place import program

JUDGED = "judge"  # the sweep whose policies are to be compared (Zhu et al. 2023, Figure 1)
POLICIES = ("sft", "ppo", "apa")  # of it
AT_CHANCE = "gold.at_chance"  # said in a sweep whose held-out reward model is no better than length


def uncompared(runs: pd.DataFrame, comparisons: pd.DataFrame) -> list[dict]:
    """List the pairs of settings that are not compared at every seed at which both have a finished run.

    These are the policies of the sweep JUDGED, and those settings that are compared at another seed.
    """
    kept, _ = stats.one_run_per_seed(runs)
    known = {frozenset(pair) for pair in zip(comparisons["run_a"], comparisons["run_b"], strict=True)}
    rows = []
    for _, panel in stats.of_family(kept, "language").groupby(stats.PANEL):
        for cells in combinations(sorted(set(panel["cell"])), 2):
            seeds, there = _seeds(panel, cells, known)
            if seeds and (there or _to_be_judged(panel, cells)):
                rows.append(_gap(panel, cells, seeds))
    return rows


def _seeds(panel: pd.DataFrame, cells: tuple[str, str], known: set[frozenset[str]]) -> tuple[set[int], bool]:
    """Return the seeds at which a pair of settings is not compared, and whether it is at another one."""
    a, b = (panel[panel["cell"] == cell].set_index("seed")["run_key"] for cell in cells)
    both = {seed: frozenset((a[seed], b[seed])) for seed in a.index.intersection(b.index)}
    return {seed for seed, pair in both.items() if pair not in known}, any(pair in known for pair in both.values())


def _to_be_judged(panel: pd.DataFrame, cells: tuple[str, str]) -> bool:
    runs = panel[panel["cell"].isin(cells)]
    held = runs["sweeps"].map(lambda sweeps: JUDGED in sweeps).astype(bool)
    return runs.loc[held & runs["algo"].isin(POLICIES), "cell"].nunique() == len(cells)


def _gap(panel: pd.DataFrame, cells: tuple[str, str], seeds: set[int]) -> dict:
    """Describe one pair, with the command for its sweep: the one that is to be judged, else the first that has both."""
    runs = panel[panel["cell"].isin(cells) & panel["seed"].isin(seeds)]
    shared = set.intersection(*(set(runs.loc[runs["cell"] == cell, "sweeps"].explode()) for cell in cells))
    words = [f"sweep={JUDGED if JUDGED in shared else min(shared)}"] if shared else _keys(runs, cells)
    words += ["judge.at_chance=true"] if any(each.get(AT_CHANCE) == "true" for each in runs["settings"]) else []
    algos = ", ".join(dict.fromkeys(runs.sort_values(["algo", "variant"])["algo"]))
    row = {**panel.iloc[0][stats.PANEL].to_dict(), "algo": algos, "seeds": joined(seeds), "reason": "not compared"}
    return dict.fromkeys(COLUMNS, "") | row | {"command": " ".join([program("judge"), *words])}


def _keys(runs: pd.DataFrame, cells: tuple[str, str]) -> list[str]:
    """Name the two runs of the first of some seeds, which lie in no common sweep."""
    first = runs[runs["seed"] == runs["seed"].min()].set_index("cell")["run_key"]
    return [str(first[cell]) for cell in cells]
