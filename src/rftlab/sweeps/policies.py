"""Which policies of a sweep are compared with which: those of one seed, each setting with every other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import has_magic
from itertools import combinations
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.errors import UserError
from rftlab.runs.axes import axes_of, cell_of, spelled, words_of, words_of_run
from rftlab.runs.naming import data_name, data_source, model_name
from rftlab.runs.records import RunRecord
from rftlab.sweeps.asked import Asked, read_asked

NO_POLICY = {"RewardModelling", "TextClassification", "Responses", "Diagnose"}  # loops that leave none of their own
OF_NO_POLICY = {"reward_model", "text_classifier", "responses", "diagnose"}  # their algorithms
LAST = "sft"  # others are compared with it


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two finished runs of one seed that differ in their setting."""

    panel: str  # scale, data, source and model, which both share
    a: str  # what sets the first apart from the others, in words
    b: str
    seed: int
    records: tuple[RunRecord, RunRecord]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """What there is to compare in a sweep, and what is not there."""

    there: tuple[Pair, ...]
    lacking: tuple[str, ...]  # a line for each run that a seed lacks


def pairs_of(outputs: Path, sweep: str) -> Pairs:
    """Pair the policies of a sweep, those among them that others start from too.

    Runs that the sweep found done in other sweeps are its own. A pair has one scale, dataset, source of rows, model and
    seed. SFT stands second, as others are compared with it.

    Raises:
        UserError: The sweep has no run.
    """
    every = [] if has_magic(sweep) else runs.sweep_runs(outputs, sweep)
    if not every:
        known = sorted({path.parent.parent.name for path in outputs.glob("*/*/config.yaml")})
        expected = f"one that has run{': ' if known else ''}{', '.join(known)}"
        raise UserError(f"sweep={sweep}, of which {outputs} has no run", expected, "sweep or paths.outputs")
    panels: dict[str, list[RunRecord]] = {}
    for record in every:
        if trains_policy(record.config):
            panels.setdefault(_panel(record), []).append(record)
    there = {record.key for record in every}
    waiting = [one for key, one in read_asked(outputs, sweep).items() if key not in there]
    pairs: list[Pair] = []
    lacking: list[str] = []
    for panel, members in sorted(panels.items()):
        cells = _cells(members)
        seeds = sorted({record.config["seed"] for record in members} | {one.seed for one in _of(waiting, members)})
        for seed in seeds:
            done = {label: record for label, of_seed in cells.items() if (record := of_seed.get(seed)) and record.done}
            pairs += [
                Pair(panel=panel, a=a, b=b, seed=seed, records=(done[a], done[b])) for a, b in combinations(done, 2)
            ]
            lacking += [
                f"missing: {label} seed {seed} of {panel}: {_why(of_seed.get(seed))}"
                for label, of_seed in cells.items()
                if label not in done
            ]
    known = {_set(record.overrides) for members in panels.values() for record in members}
    lacking += [
        f"missing: {one.name}-{one.key} seed {one.seed}: never run"
        for one in waiting
        if _set(one.overrides) not in known and words_of(one.overrides).get("algo") not in OF_NO_POLICY
    ]
    return Pairs(there=tuple(pairs), lacking=tuple(lacking))


def trains_policy(config: Mapping[str, Any]) -> bool:
    """Say whether a run ends with a policy of its own that answers with texts."""
    answered = config["data"].get("evaluation") is not None
    return answered and config["algo"]["loop"]["_target_"].rpartition(".")[2] not in NO_POLICY


def _panel(record: RunRecord) -> str:
    flat = record.flat
    return f"{data_name(flat)}, {data_source(flat)}, scale {flat.get('scale')}, {model_name(flat)}"


def _cells(members: Sequence[RunRecord]) -> dict[str, dict[int, RunRecord]]:
    """Map each setting, in words, to its runs by seed; of a run that lies in two sweeps the finished one counts."""
    axes = [key for key in axes_of([words_of_run(record) for record in members]) if key != "algo"]
    cells: dict[str, dict[int, RunRecord]] = {}
    names: dict[str, str] = {}
    for record in sorted(members, key=lambda record: (not record.done, record.key)):
        words = words_of_run(record)
        settings = [f"{key}={spelled(words.value(key))}" for key in axes if words.value(key) is not None]
        label = names.setdefault(cell_of(record), " ".join([record.config["algo"]["name"], *settings]))
        cells.setdefault(label, {}).setdefault(record.config["seed"], record)
    return dict(sorted(cells.items(), key=lambda cell: (cell[0].split()[0] == LAST, cell[0])))


def _of(waiting: Sequence[Asked], members: Sequence[RunRecord]) -> list[Asked]:
    """Return the runs that have not begun and were asked for in the words of these."""
    words = {_set(record.overrides) for record in members}
    return [one for one in waiting if _set(one.overrides) in words]


def _set(overrides: Sequence[str] | None) -> frozenset[str]:
    return frozenset(overrides or ())


def _why(record: RunRecord | None) -> str:
    return "never run" if record is None else f"run {record.key} is {record.state}"
