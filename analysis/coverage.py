"""What the figures of language runs lack: unfinished runs, seeds and cells never run, and the commands for them."""

import shlex

import pandas as pd

from analysis.stats import CELL, PANEL, finished, of_family

DATASETS = ("narrativeqa", "imdb")  # the figures of this project
ALGOS = ("ppo", "apa")  # that every learning curve compares
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
    """Write the command that makes a cell, with the mirror of its runs; keys at their defaults are left out."""
    hub = row["source"] == "hub" and row["scale"] != "paper"
    words = [f"algo={row['algo']}", f"data={row['data']}"]
    words += [f"model={row['model']}"] if row["model"] else []
    words += _controlled_words(row) if row.get("family") == "controlled" else []
    words += [f"scale={row['scale']}"] if row["scale"] not in ("", "mini") else []
    words += ["data.source=hub"] if hub else []
    words += [f"heuristic={row['heuristic']}"] if row["heuristic"] != "none" else []
    words += row["variant"].split()
    words += [shlex.quote(f"paths.hub_mirror={row['hub_mirror']}")] if row["hub_mirror"] else []
    words += [f"seed={seeds}"] if seeds not in ("", "0") else []
    words += [f"sweep.name={sweep}"] if sweep != "default" else []
    many = "-m " if "," in row["algo"] + seeds else ""
    return f"python src/train.py {many}{' '.join(words)}"


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
            there = set(online.loc[online["heuristic"] == heuristic, "algo"])
            if algos := ",".join(algo for algo in ALGOS if algo not in there):
                mirror = max(panel["hub_mirror"])  # any of them rather than none
                changes = {"algo": algos, "heuristic": heuristic, "variant": "", "hub_mirror": mirror}
                first = panel.iloc[0].to_dict() | changes
                rows.append(gap(first, "", "never run", panel["sweep"].iloc[0]))
    return rows


def _absent_data(there: set[str], datasets: tuple[str, ...]) -> list[dict]:
    """List the datasets without any run."""
    blank = dict.fromkeys([*PANEL, "variant", "hub_mirror"], "") | {"algo": ",".join(ALGOS), "heuristic": "none"}
    return [gap(blank | {"data": data}, "", "no runs", "default") for data in datasets if data not in there]


def gap(cell: pd.Series | dict, seeds: str, reason: str, sweep: str) -> dict:
    """Describe one gap and the command that closes it."""
    row = dict(cell)
    named = {key: row[key] for key in [*PANEL, "algo", "heuristic", "variant", "hub_mirror"]}
    if row.get("family") == "controlled":
        named["variant"] = " ".join([*_controlled_words(row), *row["variant"].split()])
    return named | {"seeds": seeds, "reason": reason, "command": command(row, seeds, sweep)}
