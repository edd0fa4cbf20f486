"""A sweep from its jobs to its summary: plan, launch what is missing, say what became of it."""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from rftlab import runs
from rftlab.errors import UserError
from rftlab.files import disk_errors, write_atomic
from rftlab.launch.rows import check_rows
from rftlab.sweeps.job import Job
from rftlab.sweeps.outcome import Outcome, outcomes
from rftlab.sweeps.plan import Plan, estimate, make_plan, neighbours
from rftlab.sweeps.slurm.refusal import Refused
from rftlab.sweeps.table import show_outcomes, show_plan

DONE, SOME_FAILED, INTERRUPTED = 0, 1, 130


class JobLauncher(Protocol):
    """What a sweep asks of a launcher."""

    follows: bool  # whether it watches over jobs that an earlier command has submitted

    def begin(self) -> None:
        """Start what takes time, while the sweep is still being planned."""
        ...

    def settings(self) -> Mapping[str, Any]:
        """Return plain data from which `sweep.py retry` makes this launcher again."""
        ...

    def queued(self, outputs: Path) -> Mapping[str, str]:
        """Return the keys that were submitted before and have not ended, with the id of their jobs."""
        ...

    def run(self, jobs: Sequence[Job], queued: Mapping[str, str], console: Console) -> Mapping[str, str]:
        """Run jobs, parents first, and follow those that are queued; returns the state of each by key."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The settings of a sweep that no job has of its own."""

    name: str
    outputs: Path
    dry_run: bool


def run_sweep(sweep: Sweep, jobs: Sequence[Job], launcher: JobLauncher, console: Console) -> int:
    """Do what is missing of a sweep; returns the exit code: 0, 1 when a job failed, 130 when it was interrupted."""
    if not sweep.dry_run:
        launcher.begin()
    try:
        queued = launcher.queued(sweep.outputs)
    except UserError as error:
        if not sweep.dry_run:
            raise
        console.print(f"states may be older than the queue: {error}", style="yellow", highlight=False, soft_wrap=True)
        queued = {}
    plan = make_plan(jobs, sweep.outputs, queued)
    check_rows((row.job.config, row.folder) for row in plan.rows if row.state != "new")
    costs = estimate(plan, sweep.outputs)
    show_plan(console, plan, costs, short=not sweep.dry_run)
    for line in neighbours(plan, sweep.outputs / sweep.name):
        console.print(line, soft_wrap=True, highlight=False)
    if sweep.dry_run:
        return DONE
    _note_elsewhere(sweep, plan, console)
    watched = queued if launcher.follows else {}
    to_do = [row.job for row in plan.rows if row.to_do or (row.job.key in watched and row.state != "done")]
    if not to_do:
        return DONE
    with noted_launch(sweep.outputs / sweep.name, launcher.settings(), to_do):
        states = launcher.run(to_do, queued, console)
    ends = outcomes(to_do, states)
    show_outcomes(console, ends)
    return exit_code(ends)


def _note_elsewhere(sweep: Sweep, plan: Plan, console: Console) -> None:
    """Keep which runs of the sweep lie in other sweeps, and say how many."""
    own = sweep.outputs / sweep.name
    elsewhere = {row.job.key: row.folder for row in plan.rows if row.folder.parent != own and not row.to_do}
    runs.note_elsewhere(sweep.outputs, sweep.name, elsewhere)
    if elsewhere:
        console.print(f"{len(elsewhere)} of them in other sweeps of {sweep.outputs}", highlight=False)


def exit_code(ends: Sequence[Outcome]) -> int:
    """Say how a sweep ended: 1 where a job failed or was lost or could not start, 130 where one was stopped."""
    states = {end.state for end in ends}
    if states & {"failed", "lost"}:
        return SOME_FAILED
    if "stopped" in states:
        return INTERRUPTED
    return SOME_FAILED if "skipped" in states else DONE


@contextmanager
def noted_launch(folder: Path, launcher: Mapping[str, Any], jobs: Sequence[Job]) -> Generator[None]:
    """Keep how a sweep was launched last, for `sweep.py status` and `retry`; a launch that is refused leaves no note.

    The note comes before the launch, as the process may be killed in the middle of it.
    """
    path = folder / "launch.json"
    before = path.read_text() if path.exists() else None
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    note = {"launcher": dict(launcher), "jobs": {job.key: job.folder.name for job in jobs}}
    write_atomic(path, json.dumps(note, indent=1) + "\n")
    try:
        yield
    except Refused:
        if before is None:
            path.unlink()
        else:
            write_atomic(path, before)
        raise
