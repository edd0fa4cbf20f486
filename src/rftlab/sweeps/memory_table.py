"""Tables of what the jobs of a sweep would take of memory, for its dry run."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from rftlab.memory.estimate import ALWAYS, PHASES, Estimate, gib
from rftlab.sweeps.table import print_rows

TITLES = ["job", "jobs", ALWAYS, *PHASES, "at least", "longest rows", "there is"]


@dataclass(frozen=True, kw_only=True)
class Need:
    """What jobs of one kind take."""

    what: str  # algorithms, data, model
    jobs: int
    estimate: Estimate
    room: int | None  # bytes; None = not known here


@dataclass(frozen=True, kw_only=True)
class Needed:
    """What the jobs of a sweep take."""

    kinds: Sequence[Need]
    little: int  # jobs that are in none of these, as they take little
    below: int  # bytes that each of them takes less than


def show_needs(console: Console, needed: Needed) -> None:
    """Print what each kind of job takes, and the parts of the one that takes most."""
    if needed.little:
        line = f"memory: {needed.little} of the jobs take less than {gib(needed.below)} GiB each, estimated"
        console.print(line, soft_wrap=True, highlight=False)
    if not (needs := needed.kinds):
        return
    known = [need for need in needs if need.estimate.components]
    console.print("memory of a job in GiB, estimated: what is always there, what each phase adds with the longest rows")
    print_rows(console, TITLES, [_row(need) for need in needs], TITLES[1:], "job")
    for line in dict.fromkeys(f"not counted: {what}" for need in needs for what in need.estimate.unknown):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if any(need.room is None for need in needs):
        line = "not known here: what the machine of a job has; runtime.memory_gib tells"
        console.print(line, soft_wrap=True, highlight=False)
    if known:
        most = max(known, key=lambda need: need.estimate.longest)
        console.print(f"parts of {most.what}, which takes most", soft_wrap=True, highlight=False, markup=False)
        rows = [[part.name, gib(part.size), ", ".join(part.when), part.how] for part in most.estimate.components]
        print_rows(console, ["part", "GiB", "when", "how"], rows, ["GiB"], "how")


def _row(need: Need) -> list[str]:
    estimate = need.estimate
    room = "not known here" if need.room is None else gib(need.room)
    if not estimate.components:
        return [need.what, str(need.jobs), *[""] * (len(PHASES) + 1), "not known", "not known", room]
    sums = [gib(size) if (size := estimate.of(phase)) else "" for phase in (ALWAYS, *PHASES)]
    return [need.what, str(need.jobs), *sums, gib(estimate.least), gib(estimate.longest), room]
