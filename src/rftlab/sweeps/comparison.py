"""Which setting of a sweep is the best, and how sure that is: runs become cells, and cells are compared.

A cell is all seeds of one setting. Finished runs alone enter a mean; what failed, diverged or is missing is counted
beside it. Cells are compared where their numbers mean the same: one scale, dataset, source, reward and evaluation.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from statistics import fmean
from typing import Any

from rftlab import runs
from rftlab.errors import UserError
from rftlab.intervals import Difference, Estimate, difference, interquartile_difference, interquartile_mean, mean
from rftlab.runs.axes import asked_axes, axes_of, cell_of, matches, meaning_of, value_of, words_of, words_of_run
from rftlab.runs.naming import data_name
from rftlab.runs.parents import needed_runs
from rftlab.runs.records import RunRecord
from rftlab.sweeps.asked import Asked, read_asked

TARGETS = ("eval/test/reward", "eval/validation/reward", "eval/train/reward", "reward/mean")
MOST_NAMED = 6  # metrics in an error
UNFINISHED = ("failed", "diverged", "pruned", "missing")  # runs without a number
# what the guard of a loop says: "policy/loss is nan at optimiser step 3"
DIVERGED = re.compile(r" is (nan|-?inf) (at|after) optimiser step ")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """All seeds of one setting."""

    settings: dict[str, Any]  # by axis
    mean: Estimate  # over seeds, of all or of the middle half
    values: dict[int, float]  # by seed; of several runs of a seed (`by` pools their settings) the mean
    runs: dict[int, tuple[float, ...]]  # by seed: these runs
    keys: tuple[str, ...]  # of the runs that have a number
    unfinished: dict[str, int]  # UNFINISHED -> runs
    kl: float  # these three: means over the runs; NaN where none says
    seconds: float
    peak_mib: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """A cell with its distance to the best one."""

    cell: Cell
    to_best: Difference | None  # None of the best, and where there is no number

    @property
    def open(self) -> bool:
        """Say whether it has a number and is not told apart from the best."""
        return self.to_best is not None and not self.to_best.told_apart


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The cells of a sweep whose numbers mean the same: the best first, those without a number last."""

    sweep: str
    title: str  # scale, data and source
    y: str
    lower: bool  # whether less is better
    middle: bool  # whether means are interquartile ones
    axes: tuple[str, ...]
    also: tuple[str, ...]  # what else the runs were asked to differ in; it goes along with the axes
    pooled: tuple[str, ...]  # axes over which each seed is averaged
    rows: tuple[Row, ...]
    silent: int  # finished runs of the sweep without `y`
    parents: int  # runs of the sweep that others learn from, and that nobody asked for

    @property
    def with_number(self) -> tuple[Row, ...]:
        """The rows that have a number."""
        return tuple(row for row in self.rows if row.cell.values)

    @property
    def decided(self) -> bool:
        """Say whether the first cell is told apart from all others, so that it is the best."""
        return len(self.with_number) > 1 and not any(row.open for row in self.rows)


def compare(
    outputs: Path,
    sweep: str,
    y: str | None = None,
    by: Sequence[str] = (),
    *,
    lower: bool = False,
    middle: bool = False,
) -> list[Comparison]:
    """Compare the cells of a sweep: one comparison for each scale, dataset and reward.

    `y` is a final metric, by default the first of TARGETS that a run has. `by` names the axes, by default those that
    the runs were asked for. `middle` compares interquartile means.

    Raises:
        UserError: No finished run has the metric, or no run has an axis.
    """
    every = runs.sweep_runs(outputs, sweep)
    asked = read_asked(outputs, sweep)
    records = without_parents(every, asked)
    y = _target(records, y)
    _check(by, records)
    measured = [record for record in records if record.final is None or y in record.final]
    there = {record.key for record in every}
    waiting = [one for key, one in asked.items() if key not in there]
    parts = _parts(measured)
    shared = [_words_of(members, waiting) for _, members in parts]
    shared[0] += [one for one in waiting if not any(one in own for own in shared)]
    return [
        Comparison(
            sweep=sweep, title=title, y=y, lower=lower, middle=middle,
            **_compared(members, own, y, by, lower=lower, middle=middle),
            silent=len(records) - len(measured), parents=len(every) - len(records),
        )
        for (title, members), own in zip(parts, shared, strict=True)
    ]  # fmt: skip


# --- which runs -----------------------------------------------------------------------------------------------------


def without_parents(records: Sequence[RunRecord], asked: Mapping[str, Asked]) -> list[RunRecord]:
    """Leave out what others learn from and nobody asked for; older sweeps do not say what was asked for."""
    needed = {key for record in records for key in needed_runs(record.config).values()}
    return [record for record in records if record.key not in needed or record.key in asked]


def _target(records: Sequence[RunRecord], y: str | None) -> str:
    known = sorted({name for record in records for name in record.final or ()})
    if not known:
        raise UserError("no finished run", "one that ended with numbers", "nothing; compare once a run has ended")
    found = [name for name in (TARGETS if y is None else (y,)) if name in known]
    if not found:
        near = get_close_matches(y or TARGETS[0], known, MOST_NAMED, 0.4) or known[:MOST_NAMED]
        raise UserError(f"no final metric {y or TARGETS[0]}", f"one that a run has ({', '.join(near)}, ...)", "--y")
    return found[0]


def _check(by: Sequence[str], records: Sequence[RunRecord]) -> None:
    for key in by:
        if all(value_of(record.flat, record.overrides, key) is None for record in records):
            known = ", ".join(asked_axes([words_of_run(record) for record in records])) or "keys of config.yaml"
            raise UserError(f"{key}, which no run has", f"settings of the runs, such as {known}", "--by")


def _parts(records: Sequence[RunRecord]) -> list[tuple[str, list[RunRecord]]]:
    """Part runs by what their numbers mean, each part with a title of its own."""
    groups: dict[tuple, list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: data_name(record.flat)):
        data, source, scale, means = meaning_of(record.flat)
        groups.setdefault((f"{data}, {source}, scale {scale}", means), []).append(record)
    titles = [title for title, _ in groups]
    return [
        (title if titles.count(title) == 1 else f"{title}, reward {titles[: place + 1].count(title)}", members)
        for place, ((title, _), members) in enumerate(groups.items())
    ]


def _words_of(records: Sequence[RunRecord], waiting: Sequence[Asked]) -> list[Asked]:
    """Return the runs that have not begun and were asked for in words of these."""
    words = {_set(record.overrides) for record in records}
    return [one for one in waiting if _set(one.overrides) in words]


def _set(overrides: Sequence[str] | None) -> frozenset[str]:
    return frozenset(overrides or ())


# --- cells ----------------------------------------------------------------------------------------------------------


def _compared(
    records: Sequence[RunRecord], waiting: Sequence[Asked], y: str, by: Sequence[str], *, lower: bool, middle: bool
) -> dict[str, Any]:
    """Return axes and rows of runs whose numbers mean the same."""
    words = [words_of_run(record) for record in records]
    told = axes_of(words)
    axes = tuple(by) or tuple(dict.fromkeys([*told, *_axes_to_come(records, waiting)]))
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        settings = _settings(record, axes)
        groups.setdefault(str(settings) if by else cell_of(record), []).append(record)
    begun = {_set(record.overrides) for record in records}
    cells = [_cell(_settings(members[0], axes), members, waiting, y, middle) for members in groups.values()]
    later: dict[frozenset[str], list[Asked]] = {}
    for one in waiting:
        if _set(one.overrides) not in begun:
            later.setdefault(_set(one.overrides), []).append(one)
    cells += [_never_begun(axes, each) for each in later.values()]
    best, *others = sorted(cells, key=lambda cell: _rank(cell, lower))
    rows = [Row(cell=best, to_best=None)]
    rows += [Row(cell=c, to_best=_apart(c, best, middle) if c.values else None) for c in others]
    return {
        "axes": axes,
        "also": () if by else tuple(key for key in asked_axes(words) if key not in axes),
        "pooled": tuple(key for key in told if key not in axes),
        "rows": tuple(rows),
    }


def _apart(cell: Cell, best: Cell, middle: bool) -> Difference:
    return interquartile_difference(cell.runs, best.runs) if middle else difference(cell.values, best.values)


def _axes_to_come(records: Sequence[RunRecord], waiting: Sequence[Asked]) -> list[str]:
    """Return the settings for which runs that have not begun were asked in other words than all that have."""
    begun = {_set(record.overrides) for record in records}
    words: dict[str, set[str]] = {}
    for one in waiting:
        for key, word in words_of(one.overrides).items() if _set(one.overrides) not in begun else ():
            words.setdefault(key, set()).add(word)
    return [key for key, asked in words.items() if not _all_have(records, key, asked)]


def _all_have(records: Sequence[RunRecord], key: str, words: Collection[str]) -> bool:
    values = {str(value): value for value in (value_of(r.flat, r.overrides, key) for r in records)}
    return all(matches(value, word) for value in values.values() for word in words)


def _settings(record: RunRecord, axes: Sequence[str]) -> dict[str, Any]:
    flat = record.flat
    return {key: value_of(flat, record.overrides, key) for key in axes}


def _cell(
    settings: dict[str, Any], members: Sequence[RunRecord], waiting: Sequence[Asked], y: str, middle: bool
) -> Cell:
    states = {record.folder: _state(record, y) for record in members}
    done = [record for record in members if states[record.folder] == "done"]
    by_seed: dict[int, dict[str, float]] = {}
    for record in done:  # a run that lies in two sweeps counts once
        by_seed.setdefault(record.config["seed"], {})[cell_of(record)] = (record.final or {})[y]
    most = max(map(len, by_seed.values()), default=0)
    own = {_set(record.overrides) for record in members}
    unfinished = {kind: list(states.values()).count(kind) for kind in UNFINISHED}
    unfinished["missing"] += sum(_set(one.overrides) in own for one in waiting)
    whole = {seed: each for seed, each in sorted(by_seed.items()) if len(each) == most}
    values = {seed: fmean(each.values()) for seed, each in whole.items()}
    by_cell = {seed: tuple(each[cell] for cell in sorted(each)) for seed, each in whole.items()}
    return Cell(
        settings=settings,
        mean=interquartile_mean(by_cell) if middle else mean(list(values.values())),
        values=values,
        runs=by_cell,
        keys=tuple(sorted({record.key for record in done})),
        unfinished=unfinished,
        kl=_known((record.final or {}).get("policy/kl") for record in done),
        seconds=_known(record.cost.get("seconds") for record in done),
        peak_mib=_known(record.cost.get("peak_mib") for record in done),
    )


def _never_begun(axes: Sequence[str], asked: Sequence[Asked]) -> Cell:
    words = words_of(asked[0].overrides)
    return Cell(
        settings={key: words.get(key) for key in axes}, mean=mean([]), values={}, runs={}, keys=(),
        unfinished={kind: len(asked) if kind == "missing" else 0 for kind in UNFINISHED},
        kl=math.nan, seconds=math.nan, peak_mib=math.nan,
    )  # fmt: skip


def _state(record: RunRecord, y: str) -> str:
    """Say how a run counts: done, failed, diverged, pruned or missing."""
    if record.final is not None:
        return "done" if math.isfinite(record.final[y]) else "diverged"
    if record.state != "failed":
        return "pruned" if record.state == "pruned" else "missing"
    return "diverged" if DIVERGED.search(str(record.status.get("error"))) else "failed"


def _known(values: Any) -> float:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else math.nan


def _rank(cell: Cell, lower: bool) -> tuple:
    value = cell.mean.value
    return math.isnan(value), value if lower else -value, str(cell.settings)
