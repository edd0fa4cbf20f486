"""How the jobs of a sweep ended, read from their run folders."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.files import read_json
from rftlab.runs.naming import metric_label
from rftlab.runs.records import log_path
from rftlab.sweeps.job import Job, folder_of
from rftlab.sweeps.slurm.logs import last_task, last_words, never_started, submission_logs

SUMMARY = (
    "eval/train/reward", "eval/validation/reward", "eval/test/reward", "eval/test/gold", "eval/validation/accuracy",
    "policy/kl",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job of a sweep ended."""

    key: str
    name: str
    state: str  # done | failed | stopped | pruned | skipped | running (elsewhere) | queued (not waited for)
    detail: str  # metrics of a finished run, or why it is not finished
    log: Path | None


def outcomes(jobs: Iterable[Job], states: Mapping[str, str]) -> list[Outcome]:
    """Describe jobs by their states; a job that says it is done must have a finished run to show."""
    return [_outcome(job, states.get(job.key, "skipped")) for job in jobs]


def _outcome(job: Job, state: str) -> Outcome:
    folder = folder_of(job)
    final = runs.finished(folder)
    if state == "done" and final is None:
        state = "failed"
    status = read_json(folder / "status.json") or {}
    task = last_task(folder.parent, job.key) if state == "failed" else None
    said = None if task is None else last_words(folder.parent, task) or never_started(folder.parent, task)
    saved = f"saved at step {status.get('step') or 0} ({status.get('reason') or 'asked to stop'})"
    details = {
        "done": summary(final or {}, job.config),
        "failed": one_line(status.get("error")) or said or "ended without a word; its log says more",
        "stopped": "killed; resumes from its newest checkpoint" if status.get("state") == "running" else saved,
        "pruned": why_pruned(folder),
        "skipped": "not started: a parent is not finished, SLURM refused it, or the sweep was stopped",
        "running": f"another process works on it (host {status.get('host')}, process {status.get('pid')})",
    }
    logs = [log_path(folder), *(submission_logs(folder.parent, task)[:1] if task is not None else [])]
    log = next((path for path in logs if path.exists() and path.stat().st_size), None)
    return Outcome(key=job.key, name=job.name, state=state, detail=details.get(state, ""), log=log)


def why_pruned(folder: Path) -> str:
    """Say at which step a search has given a run up, and why."""
    return str((runs.pruned(folder) or {}).get("reason") or "given up by a search")


def one_line(error: str | None) -> str:
    """Return the first line of an error, with the next one where it only announces that."""
    lines = [line.strip() for line in (error or "").splitlines() if line.strip()]
    return " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])


def summary(final: Mapping[str, float], config: Mapping[str, Any]) -> str:
    """Say the final evaluation in a few words, with the decoding of its rewards."""
    flat = runs.flat_config(config)
    return (
        ", ".join(f"{metric_label(name, flat)} {final[name]:.3f}" for name in SUMMARY if name in final)
        or "no evaluation"
    )
