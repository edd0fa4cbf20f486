"""Gaps in the runs of a figure, one row each, with the command that closes it."""

import shlex
from collections.abc import Collection

import pandas as pd

from analysis.settings import AFTER_SFT, CHANCE, UNRECORDED, changes
from analysis.statistics.axes import learned_from
from analysis.statistics.stats import CELL, PANEL, finished
from rftlab.place import program

GUESSED = "# may be incomplete: these runs kept no overrides"
COLUMNS = [*PANEL, "algo", "heuristic", "variant", "seeds", "reason", "command"]


def command(row: dict, seeds: str = "", sweep: str = "default") -> str:
    """Write the command that makes a cell, with the mirror of its runs: its overrides, or a guess from its columns."""
    known = row.get("overrides") is not None
    words = [shlex.quote(word) for word in row["overrides"]] if known else _guessed(row)
    words += [shlex.quote(f"paths.hub_mirror={row['hub_mirror']}")] if row["hub_mirror"] else []
    words += [f"seed={seeds}"] if seeds not in ("", "0") else []
    words += [f"sweep.name={sweep}"] if sweep != "default" else []
    many = "-m " if "," in row["algo"] + seeds else ""
    return " ".join([f"{program('train')} {many}{' '.join(words)}", *([] if known or not row["model"] else [GUESSED])])


def _guessed(row: dict) -> list[str]:
    """Guess the overrides of a cell that kept none: groups that are not at their defaults, and what sets it apart."""
    hub = row["source"] not in ("bundled", "generated") and row["scale"] != "paper"
    words = [f"algo={row['algo']}", f"data={row['data_option']}"]
    words += [f"model={row['model_option']}"] if row["model_option"] else []
    words += _controlled_words(row) if row.get("family") == "controlled" else []
    words += [f"scale={row['scale']}"] if row["scale"] not in ("", "mini") else []
    words += ["data.source=hub"] if hub else []
    words += [] if row["heuristic"] == "none" else [_beginning(row["heuristic"])]
    return words + [word for word in row["variant"].split() if word not in (CHANCE, UNRECORDED)]


def never_run(like: dict, algo: str, heuristic: str = "none", same_loop: bool = True) -> dict:
    """Describe a cell that was never run: like another one but for its algorithm and heuristic.

    Overrides within these two groups are dropped. Those of `algo.loop`, and presets, which may set such keys, are kept
    if both have the `same_loop`.
    """
    row = like | {"algo": algo, "heuristic": heuristic, "variant": ""}
    if like["overrides"] is None:
        return row
    group, _, option = _beginning(heuristic).partition("=")
    changed = {"algo": algo} | ({} if heuristic == like["heuristic"] else {group: option})
    kept = [word for word in like["overrides"] if _kept(word, changed, same_loop)]
    overrides = (*(f"{group}={option}" for group, option in changed.items()), *kept)
    return row | {"overrides": overrides, "variant": " ".join(changes(overrides))}


def _beginning(heuristic: str) -> str:
    """Write the override that begins a run so."""
    return f"start={heuristic}" if heuristic == AFTER_SFT else f"heuristic={heuristic}"


def _kept(word: str, changed: Collection[str], same_loop: bool) -> bool:
    """Say whether an override holds in a cell of other groups."""
    key = word.lstrip("+").partition("=")[0]
    if key == "experiment":
        return same_loop
    return key.split(".")[0] not in changed or (same_loop and key.startswith("algo.loop."))


def plainest(cells: pd.DataFrame) -> dict:
    """Return the row with the fewest overrides, among those whose overrides are known: others are compared with it."""
    rows = cells.to_dict("records")
    return min(rows, key=lambda row: (row["overrides"] is None, len(row["overrides"] or ())))


def _controlled_words(row: dict) -> list[str]:
    """Name the optimizer and the rewards of a controlled run."""
    wrong = row["wrong_reward"]
    return [f"optimizer={row['optimizer']}"] + ([f"data.rewards.wrong_modified={wrong:g}"] if wrong != -1 else [])


def unfinished(runs: pd.DataFrame) -> list[dict]:
    """List the runs that are not done, unless a finished run has the same cell and seed."""
    done = set(finished(runs)[[*CELL, "seed"]].itertuples(index=False, name=None))
    rest = runs[runs["state"] != "done"]
    covered = [key in done for key in rest[[*CELL, "seed"]].itertuples(index=False, name=None)]
    rest = rest[[not each for each in covered]]
    return [
        gap(run, str(run["seed"]), f"run {run['run_key']} is {run['state']}", run["sweep"])
        for _, run in rest.iterrows()
    ]


def absent_seeds(runs: pd.DataFrame, by: list[str]) -> list[dict]:
    """List the seeds that a cell lacks and another cell of the same figure has; a figure shows one value of `by`.

    Runs that others learn from are not asked for: one gold reward model serves all seeds. Where they are, they count.
    """
    rows = []
    there = set(runs[[*CELL, "seed"]].itertuples(index=False, name=None))
    for _, figure in runs[~runs["run_key"].isin(learned_from(runs))].groupby(by):
        for of_cell, cell in figure.groupby(CELL):
            lacking = set(figure["seed"]) - set(cell["seed"])
            if seeds := joined({seed for seed in lacking if (*of_cell, seed) not in there}):
                rows.append(gap(cell.iloc[0], seeds, "never run", cell["sweep"].iloc[0]))
    return rows


def joined(seeds: set[int]) -> str:
    """Write seeds as an axis of a sweep."""
    return ",".join(map(str, sorted(seeds)))


def gap(cell: pd.Series | dict, seeds: str, reason: str, sweep: str) -> dict:
    """Describe one gap and the command that closes it."""
    row = dict(cell)
    named = {key: row[key] for key in [*PANEL, "algo", "heuristic", "variant", "hub_mirror"]}
    if row.get("family") == "controlled":
        named["variant"] = " ".join([*_controlled_words(row), *row["variant"].split()])
    return named | {"seeds": seeds, "reason": reason, "command": command(row, seeds, sweep)}
