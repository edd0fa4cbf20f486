"""A sweep from its jobs to its summary: plan, launch what is missing, say what became of it."""

import json
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

from rich.console import Console

from rftlab import runs
from rftlab.errors import UserError
from rftlab.files import disk_errors, write_atomic
from rftlab.launch.needs import require_runs
from rftlab.launch.room import needs_of, require_room_for
from rftlab.launch.same import check_same
from rftlab.launch.sweep_end import show_end
from rftlab.launch.unsent import sending_unsent
from rftlab.place import program
from rftlab.sweeps.asked import note_asked
from rftlab.sweeps.job import Feed, Job
from rftlab.sweeps.memory_table import show_needs
from rftlab.sweeps.outcome import Outcome, outcomes
from rftlab.sweeps.plan import Plan, estimate, make_plan, neighbours
from rftlab.sweeps.slurm.refusal import Refused
from rftlab.sweeps.table import show_outcomes, show_plan

DONE, SOME_FAILED, INTERRUPTED = 0, 1, 130
UNDER_WAY = ("running", "queued")
SHOWN = 3  # keys in a sentence


class JobLauncher(Protocol):
    """What a sweep asks of a launcher."""

    follows: bool  # whether it watches over jobs that an earlier command has submitted
    gpus: int  # of a job that does not ask for a number itself

    def begin(self) -> None:
        """Start what takes time, while the sweep is still being planned."""
        ...

    def settings(self) -> Mapping[str, Any]:
        """Return plain data from which `sweep.py retry` makes this launcher again."""
        ...

    def queued(self, outputs: Path) -> Mapping[str, str]:
        """Return the keys that were submitted before and have not ended, with the id of their jobs."""
        ...

    @property
    def slots(self) -> int | None:
        """How many jobs run at a time; None where a cluster decides."""
        ...

    def run(
        self, jobs: Sequence[Job], queued: Mapping[str, str], console: Console, feed: Feed | None = None
    ) -> Mapping[str, str]:
        """Run jobs, parents first, and follow those that are queued; returns the state of each by key.

        `feed` is asked for more jobs as long as it is open.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The settings of a sweep that no job has of its own."""

    name: str
    outputs: Path
    dry_run: bool
    page: bool  # whether its end writes index.html
    config: str  # what the command line made, in YAML


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
    check_same((row.job.config, row.folder) for row in plan.rows if row.state != "new")
    costs = estimate(plan, sweep.outputs, launcher.gpus)
    show_plan(console, plan, costs, short=not sweep.dry_run)
    for line in neighbours(plan, sweep.outputs / sweep.name):
        console.print(line, soft_wrap=True, highlight=False)
    coming = [row.job for row in plan.rows if row.to_do]
    # a job without parents says it by itself, at once, and concerns no other
    require_runs([job for job in coming if job.parents], coming)
    if sweep.dry_run:
        show_needs(console, needs_of(coming, launcher))
        return DONE
    require_room_for(coming, launcher)
    _note_elsewhere(sweep, plan, console)
    note_asked(sweep.outputs, sweep.name, jobs)
    watched = queued if launcher.follows else {}
    to_do = [row.job for row in plan.rows if row.to_do or (row.job.key in watched and row.state != "done")]
    _tell_of_others(sweep, plan, {job.key for job in to_do}, console)
    for job in to_do:
        runs.take_up(job.folder)
    # while jobs run, as the code that is here at their end may have been edited
    Thread(target=import_module, args=("rftlab.sweeps.comparison_table",), daemon=True).start()
    with sending_unsent(plan.rows):
        code = _launch(sweep, to_do, queued, launcher, console) if to_do else DONE
    show_end(
        sweep.outputs, sweep.name, console, page=sweep.page and (bool(to_do) or not _has_page(sweep)),
        tracking=jobs[0].config["tracking"] if jobs else None,
    )  # fmt: skip
    return code


def _has_page(sweep: Sweep) -> bool:
    return (sweep.outputs / sweep.name / "index.html").exists()


def _launch(
    sweep: Sweep, to_do: Sequence[Job], queued: Mapping[str, str], launcher: JobLauncher, console: Console
) -> int:
    launch = {"launcher": dict(launcher.settings()), "jobs": {job.key: job.folder.name for job in to_do}}
    notes = {"launch.json": json.dumps(launch, indent=1) + "\n", "multirun.yaml": sweep.config}
    with noted_launch(sweep.outputs / sweep.name, notes):
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


def _tell_of_others(sweep: Sweep, plan: Plan, own: Collection[str], console: Console) -> None:
    """Say which runs of the sweep another command has under way, as this one does not wait for them."""
    others = [row.job.key for row in plan.rows if row.state in UNDER_WAY and row.job.key not in own]
    if not others:
        return
    which = ", ".join(others[:SHOWN]) + (", ..." if len(others) > SHOWN else "")
    runs_are = "1 run is" if len(others) == 1 else f"{len(others)} runs are"
    console.print(
        f"{runs_are} under way by another command, for which this one does not wait ({which}): "
        f"`{program('sweep')} status --outputs {sweep.outputs} --sweep {sweep.name}` tells how far they are; "
        "this command again, when they have ended, does what they leave",
        style="yellow", highlight=False, soft_wrap=True, markup=False,
    )  # fmt: skip


def exit_code(ends: Sequence[Outcome]) -> int:
    """Say how a sweep ended: 1 where a job failed or was lost or could not start, 130 where one was stopped."""
    states = {end.state for end in ends}
    if states & {"failed", "lost"}:
        return SOME_FAILED
    if "stopped" in states:
        return INTERRUPTED
    return SOME_FAILED if "skipped" in states else DONE


@contextmanager
def noted_launch(folder: Path, notes: Mapping[str, str]) -> Generator[None]:
    """Keep how a sweep was launched last, for `sweep.py status` and `retry`; a launch that is refused leaves no note.

    The notes (file -> content) come before the launch, as the process may be killed in the middle of it, or the disk be
    full after it.
    """
    before = {path: path.read_text() if path.exists() else None for path in (folder / name for name in notes)}
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in notes.items():
        write_atomic(folder / name, content)
    try:
        yield
    except Refused:
        for path, content in before.items():
            if content is None:
                path.unlink()
            else:
                write_atomic(path, content)
        raise
