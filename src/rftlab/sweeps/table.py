"""Tables of a sweep for people: the plan before it, the outcome after it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rftlab.identity import flatten, identity
from rftlab.sweeps.plan import Cost, Plan, Row

COLOURS = {
    "new": "cyan", "resume": "cyan", "queued": "blue", "starting": "blue", "running": "blue",
    "done": "green", "failed": "red",
    "stopped": "yellow", "skipped": "yellow", "lost": "red",
}  # fmt: skip
SHORT = 12  # rows of the table that opens a sweep


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job of a sweep ended."""

    key: str
    name: str
    state: str  # done | failed | stopped | skipped | running (elsewhere) | queued (not waited for)
    detail: str  # metrics of a finished run, or why it is not finished
    log: Path | None


def make_console() -> Console:
    """Return a console whose tables are not squeezed where the output is a file or a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def painted(state: str) -> Text:
    """Return a state in its colour."""
    return Text(state, style=COLOURS.get(state, ""))


def show_plan(console: Console, plan: Plan, costs: Mapping[str, Cost | None], *, short: bool) -> None:
    """Print the jobs with key, state, parent and estimate, then the totals; a short table leaves out the middle."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("job", "key", "state", "parent", "hours"):
        table.add_column(column, justify="right" if column == "hours" else "left", no_wrap=column != "job")
    shown = _abridged(plan.rows) if short else plan.rows
    labels = _labels(plan.rows)
    for row in shown:
        if row is None:
            table.add_row(f"... {len(plan.rows) - SHORT} more", "", "", "", "")
            continue
        parent = row.job.parent.key if row.job.parent is not None else ""
        table.add_row(labels[row.job.key], row.job.key, painted(row.state), parent, _hours(costs.get(row.job.key), row))
    console.print(table)
    console.print(totals(plan, costs))


def _abridged(rows: Sequence[Row]) -> list[Row | None]:
    if len(rows) <= SHORT + 1:
        return list(rows)
    return [*rows[: SHORT // 2], None, *rows[-SHORT // 2 :]]


def _labels(rows: Sequence[Row]) -> dict[str, str]:
    """Name every job by what tells it from the others of its name."""
    flat = {row.job.key: flatten(identity(row.job.config)) for row in rows}
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row.job.name, []).append(row.job.key)
    varying = {name: _varying([flat[key] for key in keys]) for name, keys in names.items()}
    labels = {}
    for row in rows:
        known = flat[row.job.key]
        parts = [f"{key}={known.get(key)}" for key in varying[row.job.name]]
        labels[row.job.key] = " ".join([row.job.name, *parts]) + (" (parent)" if row.is_parent else "")
    return labels


def _varying(configs: Sequence[Mapping[str, object]]) -> list[str]:
    """Return as few keys as tell the configs apart, a heuristic's own before all, then the names of options.

    What a parent makes different (`parent`, `init_from`) follows from the rest.
    """
    keys = {key for config in configs for key in config if key.split(".")[0] not in ("parent", "init_from")}
    chosen: list[str] = []
    for key in sorted(keys, key=lambda key: (not key.startswith("heuristic"), not key.endswith(".name"), key)):
        if _classes(configs, [*chosen, key]) > _classes(configs, chosen):
            chosen.append(key)
    return chosen


def _classes(configs: Sequence[Mapping[str, object]], keys: Sequence[str]) -> int:
    """Count the configs that differ in the given keys."""
    return len({tuple(str(config.get(key)) for key in keys) for config in configs})


def _hours(cost: Cost | None, row: Row) -> str:
    if not row.to_do:
        return ""
    return "unknown" if cost is None else _in_words(cost.hours)


def _in_words(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 0.1 else f"{hours * 60:.1f} min"


def totals(plan: Plan, costs: Mapping[str, Cost | None]) -> str:
    """Say in one line how many jobs there are in each state and what the rest takes on each device."""
    states = Counter(row.state for row in plan.rows)
    order = ("new", "resume", "failed", "queued", "running", "done")
    counts = ", ".join(f"{states[state]} {state}" for state in order if states[state])
    per_device: dict[str, float] = {}
    for cost in costs.values():
        if cost is not None:
            per_device[cost.device] = per_device.get(cost.device, 0.0) + cost.hours
    unknown = sum(cost is None for cost in costs.values())
    estimates = [f"{_in_words(hours)} on {device}" for device, hours in sorted(per_device.items())]
    estimates += [f"unknown for {unknown}"] if unknown else []
    line = f"{len(plan.rows)} jobs: {counts or 'none'}"
    return line + (f"; estimated, one after the other: {', '.join(estimates)}" if estimates else "")


def show_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print what became of the jobs; failures come last, each with its log."""
    counts = Counter(outcome.state for outcome in outcomes)
    for outcome in sorted(outcomes, key=lambda outcome: outcome.state != "stopped"):
        if outcome.state in ("stopped", "skipped", "running"):
            console.print(Text.assemble(painted(outcome.state), f"  {outcome.name}-{outcome.key}: {outcome.detail}"))
    for outcome in outcomes:
        if outcome.state == "failed":
            console.print(Text.assemble(painted("failed"), f"  {outcome.name}-{outcome.key}: {outcome.detail}"))
            console.print(f"        log: {outcome.log}", soft_wrap=True, highlight=False)
    console.print("sweep: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
