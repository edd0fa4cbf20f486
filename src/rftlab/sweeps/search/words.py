"""A search in words: its trials by what became of them, and the best one."""

from collections import Counter

from rftlab.intervals import mean
from rftlab.runs.searches import Search
from rftlab.sweeps.comparison_table import in_brackets


def counts(search: Search) -> str:
    """Say how many trials of how many seeds there are, and what became of them."""
    states = Counter(trial.state for trial in search.trials)
    told = [f"{states[state]} {state}" for state in ("done", "pruned", "diverged", "open") if states[state]]
    to_come = max(0, search.n_trials - len(search.trials))
    runs_each = len(search.seeds)
    return (
        f"{search.n_trials} trials x {runs_each} seed{'s' * (runs_each > 1)} = {search.n_trials * runs_each} runs: "
        + ", ".join([*told, f"{to_come} to come"])
    )


def said_of(search: Search) -> list[str]:
    """Say what a search has found."""
    lines = [counts(search)]
    best = search.best
    if best is None:
        return [*lines, "no trial is done"]
    found = mean(list(best.values.values()))
    n = len(best.values)
    what = " ".join(f"{key}={word}" for key, word in best.params.items())
    told = f"best: trial {best.number}, {what}: {search.metric} {in_brackets(found)}, {n} seed{'s' * (n > 1)}"
    done = sum(trial.state == "done" for trial in search.trials)
    if n == 1:
        told += "; one seed has no interval"
    if done > 1:
        told += f"; the highest of {done} is flattered by its luck, which seeds that did not choose it do not share"
    return [*lines, told.replace("highest", "lowest") if search.direction == "minimize" else told]
