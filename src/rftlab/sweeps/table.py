"""Tables of a sweep for people: the plan before it, the outcome after it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rftlab import clock
from rftlab.sweeps.labels import labels
from rftlab.sweeps.outcome import Outcome
from rftlab.sweeps.plan import Cost, Plan, Row
from rftlab.sweeps.status import RunStatus

COLOURS = {
    "new": "cyan", "resume": "cyan", "queued": "blue", "starting": "blue", "running": "blue", "ending": "blue",
    "done": "green", "failed": "red", "pruned": "magenta",
    "stopped": "yellow", "skipped": "yellow", "lost": "red",
}  # fmt: skip
EXPLAINED = ("new", "failed", "lost", "stopped")  # states whose reason is told in full
GAP = 2  # between two columns
SHORTEST_DETAIL = 20  # with less room a table has no column for it
ELSEWHERE = " (measured there; these ask for a GPU)"
MOST_AGAIN = 3  # runs named again of which the words are shown
PACE = ("rate", "left", "ends")  # columns of running jobs
SHORT = 12  # rows of the table that opens a sweep


def make_console() -> Console:
    """Return a console whose tables are not squeezed where the output is a file or a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def painted(state: str) -> Text:
    """Return a state in its colour."""
    return Text(state, style=COLOURS.get(state, ""))


def show_plan(console: Console, plan: Plan, costs: Mapping[str, Cost | None], *, short: bool) -> None:
    """Print the jobs with key, state, parents and estimate, then the totals; a short table leaves out the middle."""
    shown = _abridged(plan.rows) if short else plan.rows
    jobs = {row.job.key: row.job for row in plan.rows}
    told = labels({key: job.name for key, job in jobs.items()}, {key: job.config for key, job in jobs.items()})
    rows = []
    for row in shown:
        if row is None:
            rows.append([f"... {len(plan.rows) - SHORT} more", "", "", "", ""])
            continue
        parents = " ".join(parent.key for parent in row.job.parents)
        name = told[row.job.key] + (" (parent)" if row.is_parent else "")
        rows.append([name, row.job.key, row.state, parents, _estimate(costs.get(row.job.key), row)])
    print_rows(console, ["job", "key", "state", "parents", "estimate"], rows, ("estimate",), "job")
    console.print(totals(plan, costs))
    for line in counted_once(plan):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _abridged(rows: Sequence[Row]) -> list[Row | None]:
    if len(rows) <= SHORT + 1:
        return list(rows)
    return [*rows[: SHORT // 2], None, *rows[-SHORT // 2 :]]


def _estimate(cost: Cost | None, row: Row) -> str:
    if not row.to_do:
        return ""
    return "unknown" if cost is None else in_hours(cost.hours, cost.unit)


def in_hours(hours: float, unit: str) -> str:
    """Write hours of a kind of device, small ones in minutes."""
    of_what = f"{unit} " if unit else ""
    return f"{hours:.1f} {of_what}h" if hours >= 0.1 else f"{hours * 60:.1f} {of_what}min"


def totals(plan: Plan, costs: Mapping[str, Cost | None]) -> str:
    """Say in one line how many jobs there are in each state and what the rest takes on each device."""
    states = Counter(row.state for row in plan.rows)
    order = ("new", "resume", "failed", "queued", "running", "done")
    counts = ", ".join(f"{states[state]} {state}" for state in order if states[state])
    per_device: dict[tuple[str, str, bool], float] = {}
    for cost in costs.values():
        if cost is not None:
            place = cost.device, cost.unit, cost.elsewhere
            per_device[place] = per_device.get(place, 0.0) + cost.hours
    unknown = sum(cost is None for cost in costs.values())
    estimates = [
        f"{in_hours(hours, unit)} on {device}{ELSEWHERE if elsewhere else ''}"
        for (device, unit, elsewhere), hours in sorted(per_device.items())
    ]
    estimates += [f"unknown for {unknown}"] if unknown else []
    line = f"{len(plan.rows)} job{'' if len(plan.rows) == 1 else 's'}: {counts or 'none'}"
    return line + (f"; estimated, one after the other: {', '.join(estimates)}" if estimates else "")


def counted_once(plan: Plan) -> list[str]:
    """Say which runs the grid names more than once, and in which words."""
    lines = []
    for first, second in plan.again[:MOST_AGAIN]:
        words = [job.config.get("overrides", []) for job in (first, second)]
        told = [" ".join(word for word in own if word not in other) for own, other in (words, words[::-1])]
        how = f": as {told[0] or 'it is'} and as {told[1] or 'it is'}" if any(told) else ""
        lines.append(f"{first.name}-{first.key} is named twice and counts once{how}")
    more = len(plan.again) - len(lines)
    return [*lines, *([f"{more} more are named again and count once"] if more else [])]


def show_statuses(console: Console, found: Sequence[RunStatus]) -> None:
    """Print runs with their states, and below why some are not done where the table has no room; keys are never cut."""
    sweep = ["sweep"] if len({run.sweep for run in found}) > 1 else []
    running = any(run.state == "running" for run in found)
    names = [*sweep, "run", "key", "state", "step", "time", *(PACE if running else []), "job"]
    rows = []
    for run in found:
        step = f"{run.step}/{run.steps}" if run.steps else ""
        first = [run.sweep] if sweep else []
        time = "" if run.seconds is None else clock.duration(run.seconds)
        rows.append([*first, run.label, run.key, run.state, step, time, *(_pace(run) if running else []),
                     run.job_id or ""])  # fmt: skip
    widths = [max(map(len, column)) + GAP for column in zip(names, *rows, strict=True)]
    left = console.width - sum(widths)
    if left >= SHORTEST_DETAIL:
        names.append("detail")
        for run, row in zip(found, rows, strict=True):
            row.append(run.detail if len(run.detail) <= left else f"{run.detail[: left - 1]}…")
    print_rows(console, names, rows, ("step", "time", *PACE), "run")
    reasons: dict[tuple[str, str], list[str]] = {}
    for run in found:
        if run.state in EXPLAINED and len(run.detail) > (left if left >= SHORTEST_DETAIL else 0):
            reasons.setdefault((run.state, run.detail), []).append(run.key)
    for (state, detail), keys in reasons.items():
        which = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
        console.print(Text.assemble(painted(state), f"  {which}: {detail}"), soft_wrap=True, highlight=False)
    counts = Counter(run.state for run in found)
    total = f"{len(found)} run{'' if len(found) == 1 else 's'}: "
    console.print(total + ", ".join(f"{count} {state}" for state, count in sorted(counts.items())))


def print_rows(
    console: Console, names: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str], wrapped: str
) -> None:
    """Print a table with the state in its colour; where it does not fit, one column is wrapped."""
    if _print_lines(console, names, rows, right):
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=name != wrapped)
    for row in rows:
        table.add_row(*(painted(cell) if n == "state" else Text(cell) for n, cell in zip(names, row, strict=True)))
    console.print(table)


def _print_lines(console: Console, names: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str]) -> bool:
    """Print a table whose lines fit, as rich would; it takes half a second for the cells of a thousand lines."""
    widths = [max(map(cell_len, column)) for column in zip(names, *rows, strict=True)]
    if sum(widths) + GAP * (len(widths) - 1) > console.width:
        return False
    text = Text(no_wrap=True)
    for row in [names, *rows]:
        for name, cell, width in zip(names, row, widths, strict=True):
            space = " " * (width - cell_len(cell))
            style = "bold" if row is names else COLOURS.get(cell) if name == "state" else None
            text.append(space + cell if name in right else cell + space, style)
            text.append("\n" if name == names[-1] else " " * GAP)
    console.print(text, soft_wrap=True, highlight=False, end="")
    return True


def _pace(run: RunStatus) -> list[str]:
    """Say how fast a run goes, how long it still takes, and when it ends; empty where it does not run."""
    if run.state != "running":
        return [""] * len(PACE)
    return [clock.rate(run.seconds_per_step), clock.duration(run.seconds_left), clock.end(run.seconds_left)]


def show_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print what became of the jobs; failures come last, each with its log."""
    counts = Counter(outcome.state for outcome in outcomes)
    for outcome in sorted(outcomes, key=lambda outcome: outcome.state != "stopped"):
        if outcome.state in ("stopped", "pruned", "skipped", "running"):
            console.print(Text.assemble(painted(outcome.state), f"  {outcome.name}-{outcome.key}: {outcome.detail}"))
    for outcome in outcomes:
        if outcome.state == "failed":
            console.print(Text.assemble(painted("failed"), f"  {outcome.name}-{outcome.key}: {outcome.detail}"))
            if outcome.log is not None:
                console.print(f"        log: {outcome.log}", soft_wrap=True, highlight=False)
    console.print("sweep: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
