"""What the figures of language runs lack: unfinished runs, seeds and cells never run, and the commands for them."""

import shlex
from collections.abc import Collection

import pandas as pd

from analysis.settings import UNRECORDED, changes
from analysis.statistics.stats import CELL, PANEL, finished, of_family

DATASETS = ("narrativeqa", "imdb")  # the figures of this project
ALGOS = ("ppo", "apa")  # that every learning curve compares
GUESSED = "# may be incomplete: these runs kept no overrides"
COLUMNS = [*PANEL, "algo", "heuristic", "variant", "seeds", "reason", "command"]


def missing_runs(runs: pd.DataFrame, datasets: tuple[str, ...] = DATASETS) -> pd.DataFrame:
    """List what is missing, one row per cell and reason; `seeds` is empty where a whole cell is absent.

    The seeds expected of a cell are all seeds that its panel has; the cells expected of a panel are ALGOS times the
    heuristics that it has.
    """
    language = of_family(runs, "language")
    wanted = language[language["data"].isin(datasets)]
    elsewhere = set(runs.loc[runs["family"].isin(["controlled", "theory"]), "data"])
    rows = [*unfinished(language), *_absent_seeds(language), *_absent_cells(wanted)]
    rows += _absent_data(set(language["data"]) | elsewhere, datasets)
    return pd.DataFrame(rows, columns=COLUMNS)


def command(row: dict, seeds: str = "", sweep: str = "default") -> str:
    """Write the command that makes a cell, with the mirror of its runs: its overrides, or a guess from its columns."""
    known = row.get("overrides") is not None
    words = [shlex.quote(word) for word in row["overrides"]] if known else _guessed(row)
    words += [shlex.quote(f"paths.hub_mirror={row['hub_mirror']}")] if row["hub_mirror"] else []
    words += [f"seed={seeds}"] if seeds not in ("", "0") else []
    words += [f"sweep.name={sweep}"] if sweep != "default" else []
    many = "-m " if "," in row["algo"] + seeds else ""
    return " ".join([f"python src/train.py {many}{' '.join(words)}", *([] if known or not row["model"] else [GUESSED])])


def _guessed(row: dict) -> list[str]:
    """Write the overrides of a cell that kept none: its groups at other than the defaults, and what sets it apart."""
    hub = row["source"] == "hub" and row["scale"] != "paper"
    words = [f"algo={row['algo']}", f"data={row['data']}"]
    words += [f"model={row['model']}"] if row["model"] else []
    words += _controlled_words(row) if row.get("family") == "controlled" else []
    words += [f"scale={row['scale']}"] if row["scale"] not in ("", "mini") else []
    words += ["data.source=hub"] if hub else []
    words += [f"heuristic={row['heuristic']}"] if row["heuristic"] != "none" else []
    return words + [word for word in row["variant"].split() if word != UNRECORDED]


def never_run(like: dict, algo: str, heuristic: str = "none", same_loop: bool = True) -> dict:
    """Describe a cell that was never run: like another one but for its algorithm and heuristic.

    What was set within these two groups goes with them, but for `algo.loop` where both have the `same_loop`.
    """
    row = like | {"algo": algo, "heuristic": heuristic, "variant": ""}
    if like["overrides"] is None:
        return row
    changed = {"algo": algo} | ({} if heuristic == like["heuristic"] else {"heuristic": heuristic})
    kept = [word for word in like["overrides"] if _kept(word, changed, same_loop)]
    overrides = (*(f"{group}={option}" for group, option in changed.items()), *kept)
    return row | {"overrides": overrides, "variant": " ".join(changes(overrides))}


def _kept(word: str, changed: Collection[str], same_loop: bool) -> bool:
    """Say whether an override holds in a cell of other groups."""
    key = word.lstrip("+").partition("=")[0]
    return key.split(".")[0] not in changed or (same_loop and key.startswith("algo.loop."))


def plainest(cells: pd.DataFrame) -> dict:
    """Return the row of a frame whose overrides are known and the fewest: what others are compared with."""
    rows = cells.to_dict("records")
    return min(rows, key=lambda row: (row["overrides"] is None, len(row["overrides"] or ())))


def _controlled_words(row: dict) -> list[str]:
    """Name the optimizer and the rewards of a controlled run."""
    wrong = row["wrong_reward"]
    return [f"optimizer={row['optimizer']}"] + ([f"data.rewards.wrong_modified={wrong:g}"] if wrong != -1 else [])


def unfinished(runs: pd.DataFrame) -> list[dict]:
    """List runs in any other state than done whose cell and seed no finished run covers."""
    done = set(finished(runs)[[*CELL, "seed"]].itertuples(index=False, name=None))
    rest = runs[runs["state"] != "done"]
    covered = [key in done for key in rest[[*CELL, "seed"]].itertuples(index=False, name=None)]
    rest = rest[[not each for each in covered]]
    return [
        gap(run, str(run["seed"]), f"run {run['run_key']} is {run['state']}", run["sweep"])
        for _, run in rest.iterrows()
    ]


def _absent_seeds(runs: pd.DataFrame) -> list[dict]:
    """List the seeds that a cell lacks and another cell of its panel has."""
    rows = []
    for _, panel in runs.groupby(PANEL):
        for _, cell in panel.groupby(CELL):
            seeds = ",".join(map(str, sorted(set(panel["seed"]) - set(cell["seed"]))))
            if seeds:
                rows.append(gap(cell.iloc[0], seeds, "never run", cell["sweep"].iloc[0]))
    return rows


def _absent_cells(runs: pd.DataFrame) -> list[dict]:
    """List the algorithms that a panel lacks under a heuristic that it has."""
    rows = []
    for _, panel in runs.groupby(PANEL):
        online = panel[panel["algo"].isin(ALGOS)]
        for heuristic in sorted({"none", *online["heuristic"]}):
            here = online[online["heuristic"] == heuristic]
            if algos := ",".join(algo for algo in ALGOS if algo not in set(here["algo"])):
                like = next(cells for cells in (here, online, panel) if len(cells))
                first = never_run(plainest(like), algos, heuristic, same_loop=len(online) > 0)
                first["hub_mirror"] = max(panel["hub_mirror"])  # any of them rather than none
                rows.append(gap(first, "", "never run", like["sweep"].iloc[0]))
    return rows


def _absent_data(there: set[str], datasets: tuple[str, ...]) -> list[dict]:
    """List the datasets without any run."""
    blank: dict = dict.fromkeys([*PANEL, "variant", "hub_mirror"], "") | {"heuristic": "none", "overrides": None}
    blank["algo"] = ",".join(ALGOS)
    return [gap(blank | {"data": data}, "", "no runs", "default") for data in datasets if data not in there]


def gap(cell: pd.Series | dict, seeds: str, reason: str, sweep: str) -> dict:
    """Describe one gap and the command that closes it."""
    row = dict(cell)
    named = {key: row[key] for key in [*PANEL, "algo", "heuristic", "variant", "hub_mirror"]}
    if row.get("family") == "controlled":
        named["variant"] = " ".join([*_controlled_words(row), *row["variant"].split()])
    return named | {"seeds": seeds, "reason": reason, "command": command(row, seeds, sweep)}
