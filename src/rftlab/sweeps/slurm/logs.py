"""What SLURM itself kept of a job: its output before the run's own log begins, and why it was ended."""

import re
from pathlib import Path

from rftlab.sweeps.slurm.ledger import Ledger

COMPLAINT = re.compile(r"^(?:srun|slurmstepd)\S* error: (?P<words>.*\S)", re.MULTILINE)
OUT_OF_MEMORY = re.compile(r"memory|\boom", re.IGNORECASE)
NEVER_STARTED = "left the queue before it started: cancelled, or its node does not see this folder"
MORE_MEMORY = "hydra.launcher.mem_gb or resources.mem_gb gives it more"


def submission_logs(sweep_folder: Path, task: str) -> list[Path]:
    """Return SLURM's files of a task; there are none before it has started."""
    return sorted((Ledger(sweep_folder).folder / "logs").glob(f"{task}_*_log.*"))


def last_task(sweep_folder: Path, key: str) -> str | None:
    """Return the id of the task that was last submitted for a run."""
    tasks = [submission.tasks() for submission in Ledger(sweep_folder).submissions()]
    return next((task[key] for task in reversed(tasks) if key in task), None)


def never_started(sweep_folder: Path, task: str) -> str | None:
    """Say so of a task that left the queue without a log of SLURM; None where there is one."""
    return None if submission_logs(sweep_folder, task) else NEVER_STARTED


def last_words(sweep_folder: Path, task: str) -> str | None:
    """Return SLURM's last complaint about a task, of its memory if there is one, and then what to change."""
    texts = [path.read_text(errors="replace") for path in submission_logs(sweep_folder, task)]
    complaints = [match["words"] for text in texts for match in COMPLAINT.finditer(text)]
    memory = [words for words in complaints if OUT_OF_MEMORY.search(words)]
    if memory:
        return f"{memory[-1]}; {MORE_MEMORY}"
    return complaints[-1] if complaints else None
