"""What a sweep would do: every job with its state, parents first, and what the rest costs by runs that are finished."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from rftlab import runs
from rftlab.errors import UserError
from rftlab.files import read_json
from rftlab.runs.cost import shape, total_steps
from rftlab.runs.identity import KEY_LENGTH, flatten
from rftlab.sweeps.job import Job, levels

MOST_NEIGHBOURS, MOST_FOLDERS, MOST_KEYS = 3, 300, 4
TO_DO = ("new", "resume", "failed")  # what a sweep starts; the other states are done, running and queued
UNFINISHED = {"stopped": "resume", "lost": "resume", "pruned": "resume"}  # state of the folder -> state of the job


@dataclass(frozen=True, kw_only=True)
class Row:
    """A job and where it stands."""

    job: Job
    state: str  # new | resume | failed | done | running | queued
    folder: Path  # where the run is, perhaps under another sweep
    is_parent: bool = False  # whether another row waits for it

    @property
    def to_do(self) -> bool:
        return self.state in TO_DO


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The jobs of a sweep in the order in which they may start, and what the grid has named again."""

    rows: list[Row]
    again: list[tuple[Job, Job]]  # jobs of equal keys: the one that counts, and the later one

    @property
    def to_do(self) -> list[Row]:
        return [row for row in self.rows if row.to_do]


def make_plan(jobs: Iterable[Job], outputs: Path, queued: Collection[str] = ()) -> Plan:
    """Look up the state of every job; `queued` holds the keys that a scheduler has.

    A key counts once however often, and in whatever words, the grid names it. A parent is listed where a job still
    needs it, at any depth; where the grid names it too, it is run as the grid says.

    Raises:
        UserError: An axis of the grid changes nothing that is computed.
    """
    folders = runs.folders_by_key(outputs)
    rows: dict[str, Row] = {}
    named: dict[str, Job] = {}
    again: list[tuple[Job, Job]] = []
    for job in jobs:
        if job.key in named:
            _refuse_lost_axis(named[job.key], job)
            again.append((named[job.key], job))
            continue
        named[job.key] = job
        rows[job.key] = _row(job, folders, queued)
        waiting = [rows[job.key]]
        while waiting:
            row = waiting.pop()
            for parent in row.job.parents if row.state != "done" else ():
                if parent.key not in rows:
                    rows[parent.key] = _row(parent, folders, queued)
                    waiting.append(rows[parent.key])
    return Plan(rows=_in_order(list(rows.values())), again=again)


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """Put what others wait for first, each after its own parents; the rest stays as the grid has it."""
    needed = {parent.key for row in rows if row.state != "done" for parent in row.job.parents}
    level = levels([row.job for row in rows])
    told = [replace(row, is_parent=row.job.key in needed) for row in rows]
    return sorted(told, key=lambda row: (not row.is_parent, row.is_parent and level[row.job.key]))


def _refuse_lost_axis(first: Job, second: Job) -> None:
    """Refuse two jobs that are one run and yet ask for different places, resources or the like."""
    a, b = flatten(first.config), flatten(second.config)
    different = sorted(key for key in a.keys() | b.keys() if key != "overrides" and a.get(key) != b.get(key))
    if different:
        found = f"two jobs that differ in {different[0]} alone, which does not make them two runs"
        raise UserError(found, "one value in a sweep, or an axis that changes what is computed", different[0])


def _row(job: Job, folders: Mapping[str, Sequence[Path]], queued: Collection[str]) -> Row:
    states = {folder: runs.state_of(folder) for folder in folders.get(job.key, ())}
    for wanted in ("done", "running"):
        for folder, state in states.items():
            if state == wanted:
                return Row(job=job, state=state, folder=folder)
    state = states.get(job.folder, "new")
    state = "queued" if job.key in queued else UNFINISHED.get(state, state)
    return Row(job=job, state=state, folder=job.folder)


def neighbours(plan: Plan, sweep_folder: Path) -> list[str]:
    """Say which runs of the same name the sweep has already, and in which keys the nearest of them differs.

    A changed default makes a run new; this tells which one it was. Only for new jobs, and for folders of moderate size.
    """
    new = [row.job for row in plan.rows if row.state == "new"][:MOST_NEIGHBOURS]
    known = {row.job.key for row in plan.rows}
    folders = [path.parent for path in sweep_folder.glob("*/config.yaml")]
    if not new or len(folders) > MOST_FOLDERS:
        return []
    records = [runs.read_run(folder) for folder in folders if folder.name[-KEY_LENGTH:] not in known]
    said = []
    for job in new:
        nearest = runs.nearest_run(job.config, [record for record in records if record.name == job.name])
        if nearest is not None:
            record, keys = nearest
            shown = ", ".join(keys[:MOST_KEYS]) + (", ..." if len(keys) > MOST_KEYS else "")
            said.append(
                f"{job.name}-{job.key} is new; its nearest run {record.key} ({record.state}) differs in {shown}"
            )
    return said


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Estimated hours of one job: of GPU time where runs like it were measured on a GPU, else of the device's time."""

    hours: float
    device: str  # that the figure was measured on
    unit: str  # GPU, or nothing
    elsewhere: bool  # whether it asks for a GPU, and runs like it were measured without


def estimate(plan: Plan, outputs: Path, gpus: int) -> dict[str, Cost | None]:
    """Estimate what each job to do costs, by key: seconds per step of finished runs of the same shape, else None.

    Runs on the kind of device that a job asks for are preferred; `gpus` are for those that do not say.
    """
    to_do = plan.to_do
    if not to_do:
        return {}
    measured: dict[str, list[Mapping[str, Any]]] = {}
    for path in outputs.glob("*/*/DONE"):
        cost = (read_json(path) or {}).get("cost")
        if cost:
            measured.setdefault(cost["shape"], []).append(cost)
    if not measured:  # the shapes of thousands of jobs would tell nothing
        return {row.job.key: None for row in to_do}
    return {row.job.key: _cost(row, measured.get(shape(row.job.config), []), gpus) for row in to_do}


def _cost(row: Row, like: Sequence[Mapping[str, Any]], gpus: int) -> Cost | None:
    if not like:
        return None
    asked = row.job.config.get("resources") or {}
    gpus = gpus if asked.get("gpus_per_node") is None else asked["gpus_per_node"]
    known = _of_one_device([cost for cost in like if _on_gpu(cost) == bool(gpus)] or like, asked.get("gpu_type"))
    on_gpu = _on_gpu(known[-1])
    seconds = median(cost["seconds_per_step"] for cost in known) * _steps_left(row)
    return Cost(
        hours=seconds / 3600 * (max(1, gpus) if on_gpu else 1),
        device=known[-1]["device"],
        unit="GPU" if on_gpu else "",
        elsewhere=bool(gpus) and not on_gpu,
    )


def _of_one_device(like: Sequence[Mapping[str, Any]], wanted: str | None) -> list[Mapping[str, Any]]:
    """Keep what was measured on one kind of device: the one that is asked for, else the most measured."""
    counts = Counter(cost["device"] for cost in like)

    def rank(device: str) -> tuple[bool, int, str]:
        return bool(wanted) and str(wanted).lower() in device.lower(), counts[device], device

    device = max(counts, key=rank)
    return [cost for cost in like if cost["device"] == device]


def _on_gpu(cost: Mapping[str, Any]) -> bool:
    """Say whether a run was measured on a GPU; older records tell by the name alone."""
    return bool(cost.get("gpu", str(cost["device"]).startswith(("NVIDIA", "Tesla"))))


def _steps_left(row: Row) -> int:
    done = (read_json(row.folder / "status.json") or {}).get("step") or 0
    return max(0, total_steps(row.job.config) - done)
