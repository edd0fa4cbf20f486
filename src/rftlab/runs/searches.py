"""What a search has tried, kept beside its run folders as plain data: `outputs/<sweep>/search.json`.

Optuna's own file, `study.jsonl`, is what a search goes on from. This one is for readers without Optuna: the page, the
figures, a script.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rftlab.files import disk_errors, read_json, write_atomic

SEARCH = "search.json"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One trial: a setting, with a run per seed."""

    number: int
    state: str  # done | pruned | diverged | open (its runs have not all ended, or one failed)
    params: Mapping[str, str]  # as on the command line
    runs: Mapping[str, str]  # seed -> run key
    value: float | None  # mean over seeds of the metric, of a trial that is done
    values: Mapping[str, float]  # seed -> the metric
    looks: Mapping[str, float]  # step -> mean over seeds of what it was judged by while it ran


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search as it stands."""

    sweep: str
    metric: str
    direction: str  # maximize | minimize
    judged_by: str | None  # the metric of the looks; None where nothing is pruned
    n_trials: int
    seeds: Sequence[int]
    space: Mapping[str, str]  # key -> as it was asked for
    trials: Sequence[Tried]  # by number

    @property
    def best(self) -> Tried | None:
        """The finished trial with the best value, the first of equal ones; None before any is finished."""
        sign = 1 if self.direction == "maximize" else -1
        done = [trial for trial in self.trials if trial.value is not None]
        return max(done, key=lambda trial: (sign * float(trial.value or 0.0), -trial.number), default=None)


def write_search(outputs: Path, search: Search) -> None:
    """Store how a search stands."""
    path = outputs / search.sweep / SEARCH
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(asdict(search), indent=1) + "\n")


def read_search(outputs: Path, sweep: str) -> Search | None:
    """Return the search of a sweep; None where the sweep is none."""
    noted: dict[str, Any] | None = read_json(outputs / sweep / SEARCH)
    if noted is None:
        return None
    noted["trials"] = [Tried(**trial) for trial in noted["trials"]]
    return Search(**noted)


def find_searches(outputs: Path) -> list[Search]:
    """Return every search under `outputs`, sorted by sweep."""
    found = (read_search(outputs, path.parent.name) for path in sorted(outputs.glob(f"*/{SEARCH}")))
    return [search for search in found if search is not None]
