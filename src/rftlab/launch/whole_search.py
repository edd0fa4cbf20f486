"""A search from its space to its best trial: what is to come and what it costs, the trials, what came out."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from rftlab import runs
from rftlab.errors import UserError
from rftlab.files import read_json, write_atomic
from rftlab.launch.needs import require_hub, require_runs
from rftlab.launch.room import needs_of, require_room_for
from rftlab.launch.same import check_same
from rftlab.launch.sweep_end import show_end
from rftlab.launch.unsent import sending_unsent
from rftlab.launch.whole_sweep import DONE, INTERRUPTED, JobLauncher, Sweep, exit_code, noted_launch
from rftlab.runs.searches import Search, write_search
from rftlab.sweeps.asked import note_asked
from rftlab.sweeps.job import Job
from rftlab.sweeps.memory_table import show_needs
from rftlab.sweeps.outcome import outcomes
from rftlab.sweeps.plan import Plan, Row, estimate, make_plan
from rftlab.sweeps.search.study import Study
from rftlab.sweeps.search.trials import Limits, Trials
from rftlab.sweeps.search.words import counts, said_of
from rftlab.sweeps.table import in_hours, show_outcomes

if TYPE_CHECKING:
    from rftlab.config.search_settings import Asked

ON_A_CLUSTER = 8  # runs at a time, where nobody says
POLL_S = 2.0  # between two looks at runs of other commands, where a search has none of its own


def run_search(sweep: Sweep, asked: "Asked", launcher: JobLauncher, console: Console) -> int:
    """Do what is missing of a search; returns the exit code: 0, 1 when a run failed, 130 when it was interrupted."""
    cluster = launcher.settings().get("kind") == "slurm"
    if cluster and not launcher.follows:
        raise UserError(
            "hydra.launcher.wait=false with a search", "true: it decides as results come in", "hydra.launcher.wait"
        )
    n_jobs = asked.n_jobs or launcher.slots or ON_A_CLUSTER
    if not sweep.dry_run:
        launcher.begin()
    folder = sweep.outputs / sweep.name
    study = Study(folder, asked.space, asked.rules, asked.sampler, asked.pruner, writes=not sweep.dry_run)
    try:
        _show_plan(console, sweep, asked, study, launcher.gpus, n_jobs)
        if sweep.dry_run:
            show_needs(console, needs_of(asked.corners, launcher))
            return DONE
        if not cluster:
            require_hub(job.config for job in asked.corners)
        require_runs(asked.corners)
        require_room_for(asked.corners, launcher)
        return _run(sweep, asked, study, launcher, console, n_jobs)
    finally:
        study.close()


def _run(sweep: Sweep, asked: "Asked", study: Study, launcher: JobLauncher, console: Console, n_jobs: int) -> int:
    queued = launcher.queued(sweep.outputs)
    notes = _Notes(sweep, study, asked.n_trials)
    trials = Trials(
        study, asked.space, asked.compose, asked.rules.metric, asked.rules.judged_by,
        Limits(n_trials=asked.n_trials, n_jobs=n_jobs), sweep.outputs, queued, launcher.follows, notes,
    )  # fmt: skip
    began = study.summary(asked.n_trials)
    launch = {"launcher": dict(launcher.settings()), "jobs": {}}
    kept = {"launch.json": json.dumps(launch, indent=1) + "\n", "multirun.yaml": sweep.config}
    ends = []
    with noted_launch(sweep.outputs / sweep.name, kept):
        jobs = trials.more({})
        while not jobs and trials.open:
            time.sleep(POLL_S)
            jobs = trials.more({})
        if jobs:
            with sending_unsent(notes.rows):
                states = launcher.run(jobs, queued, console, trials)
            trials.stop()
            trials.more(states)
            ends = outcomes(notes.started(states), states)
            show_outcomes(console, ends)
    search = study.summary(asked.n_trials)
    write_search(sweep.outputs, search)
    for line in said_of(search):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    changed = search != began or bool(ends)
    has_page = (sweep.outputs / sweep.name / "index.html").exists()
    show_end(
        sweep.outputs, sweep.name, console, page=sweep.page and (changed or not has_page),
        tracking=asked.corners[0].config["tracking"],
    )  # fmt: skip
    code = exit_code(ends)
    return INTERRUPTED if code == DONE and any(end.state == "stopped" for end in ends) else code


@dataclass
class _Notes:
    """What the folder of a sweep keeps of a search while it runs."""

    sweep: Sweep
    study: Study
    n_trials: int

    def __post_init__(self) -> None:
        self.rows: list[Row] = []

    def begun(self, rows: Sequence[Row], asked: Sequence[Job]) -> None:
        """Note the runs of a trial: those that were asked for, those of other sweeps, those of this launch."""
        outputs, name = self.sweep.outputs, self.sweep.name
        check_same((row.job.config, row.folder) for row in rows if row.state != "new")
        self.rows += rows
        note_asked(outputs, name, asked)
        own = outputs / name
        elsewhere = {row.job.key: row.folder for row in rows if row.folder.parent != own and not row.to_do}
        runs.note_elsewhere(outputs, name, elsewhere)
        _add_to_launch(own / "launch.json", [row.job for row in rows if row.to_do])

    def changed(self) -> None:
        """Keep how the search stands."""
        write_search(self.sweep.outputs, self.study.summary(self.n_trials))

    def started(self, states: Mapping[str, str]) -> list[Job]:
        """Return the jobs that the launcher was given."""
        return list({row.job.key: row.job for row in self.rows if row.job.key in states}.values())


def _add_to_launch(path: Path, jobs: Sequence[Job]) -> None:
    note = read_json(path)
    if note is not None and jobs:
        note["jobs"] |= {job.key: job.folder.name for job in jobs}
        write_atomic(path, json.dumps(note, indent=1) + "\n")


# --- what is to come ------------------------------------------------------------------------------------------------


def _show_plan(console: Console, sweep: Sweep, asked: "Asked", study: Study, gpus: int, n_jobs: int) -> None:
    """Print space, trials, runs and bounds of the cost."""
    search = study.summary(asked.n_trials)
    lines = [f"space: {key}={given}" for key, given in search.space.items()]
    seeds = ", ".join(map(str, asked.space.seeds))
    sampler = type(asked.sampler(0)).__name__
    lines.append(f"value of a trial: {search.metric}, mean over seed{'s' * (len(search.seeds) > 1)} {seeds}")
    judged = "no pruning"
    if asked.first_look is not None:
        judged = f"{type(asked.pruner).__name__} by {search.judged_by}, first at step {asked.first_look}"
        if n_jobs < len(asked.space.seeds):
            judged += f"; with {n_jobs} runs at a time the last of {len(asked.space.seeds)} seeds is waited for"
    lines.append(f"{sampler}, {judged}")
    lines += [counts(search), *_costs(sweep.outputs, asked, search, gpus)]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _costs(outputs: Path, asked: "Asked", search: Search, gpus: int) -> list[str]:
    """Say between which bounds the rest costs, as runs of the same shape did; and what must be finished first."""
    left = max(0, search.n_trials - len(search.trials)) + sum(trial.state == "open" for trial in search.trials)
    if not left:
        return []
    corners = {job.key: job for job in asked.corners}
    rows = [Row(job=job, state="new", folder=job.folder) for job in corners.values()]
    costs = estimate(Plan(rows=rows, again=[]), outputs, gpus)
    known = [cost for cost in costs.values() if cost is not None]
    if not known or len(known) < len(costs):
        bounds = "cost: unknown, as no run of this shape has finished here"
    else:
        seeds, steps = len(search.seeds), max(1, _steps(asked))
        most = left * seeds * max(cost.hours for cost in known)
        share = 1.0 if asked.first_look is None else asked.first_look / steps
        least = seeds * min(cost.hours for cost in known) * (1 + (left - 1) * share)
        told = in_hours(most, known[0].unit)
        told = f"{in_hours(least, known[0].unit)} to {told}" if asked.first_look is not None else f"at most {told}"
        why = " (all but one trial pruned at the first look; none pruned)" if asked.first_look is not None else ""
        bounds = f"cost of {left} trials, one run after the other: {told}{why} on {known[0].device}"
    first = asked.space.corners()[0]
    plan = make_plan([asked.compose(asked.space.overrides(first, seed)) for seed in asked.space.seeds], outputs)
    parents = [row for row in plan.rows if row.is_parent and row.to_do]
    before = [f"{len(parents)} run{'s' * (len(parents) > 1)} that these need come first"] if parents else []
    return [bounds, *before]


def _steps(asked: "Asked") -> int:
    from rftlab.runs.cost import total_steps

    return total_steps(asked.corners[0].config)
