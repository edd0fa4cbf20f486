"""One task of a SLURM array: `python -m rftlab.entry.slurm_worker NOTE`, where NOTE lists the run folders by task.

SLURM warns with SIGUSR2 before a time limit or a preemption: the run saves at its next step boundary and goes back into
the queue. SIGTERM alone is an end (`scancel`): the run saves and stays out.
"""

import logging
import os
import signal
import sys
import time
from pathlib import Path

from rftlab.files import read_json, write_atomic
from rftlab.stop import StopFlag, StopOnSignals
from rftlab.sweeps import scheduler

EARLY_S = 75.0  # SLURM may send the warning a minute early
REQUEUE_KILL_S = 60.0  # SLURM ends a requeued job within seconds

log = logging.getLogger("rftlab")


def main() -> None:
    """Run the task that the environment names; the exit code tells SLURM whether the job failed."""
    started = time.time()
    stop = StopFlag()
    with StopOnSignals(stop, (signal.SIGTERM, signal.SIGUSR2)):  # before slow imports: a signal would end the process
        sys.exit(_work(stop, started))


def _work(stop: StopFlag, started: float) -> int:
    from rftlab.entry.worker import redirect_output, work
    from rftlab.sweeps.local import STOPPED

    task = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
    note = read_json(Path(sys.argv[1]))
    assert note is not None, f"{sys.argv[1]} is no note of a submission"
    folder = Path(note["folders"][task])
    redirect_output(folder)
    code = work(folder, stop)
    if code == STOPPED and signal.SIGUSR2 in stop.signals:
        code = go_back(folder, started)
    return code


def go_back(folder: Path, started: float) -> int:
    """Return to the queue, unless the time limit was reached too often; returns the exit code."""
    from rftlab.sweeps.local import FAILED, STOPPED

    if _was_time_limit(time.time() - started) and not _count_time_limit(folder):
        print("error: the time limit was reached too often; raise hydra.launcher.timeout_min", file=sys.stderr)
        return FAILED
    job_id = os.environ.get("SLURM_ARRAY_JOB_ID", os.environ["SLURM_JOB_ID"])
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    if scheduler.requeue(job_id if task is None else f"{job_id}_{task}"):
        log.info("requeued")
        time.sleep(REQUEUE_KILL_S)  # the end comes from SLURM: an exit code of our own would count as a failure
    return STOPPED


def _was_time_limit(ran_s: float) -> bool:
    limit = os.environ.get("RFTLAB_TIME_LIMIT_S")
    delay = float(os.environ.get("RFTLAB_SIGNAL_DELAY_S", "0"))
    return limit is not None and ran_s + delay + EARLY_S >= float(limit)


def _count_time_limit(folder: Path) -> bool:
    """Count one more time limit of this run; returns whether it may go on."""
    path = folder / "time_limits.json"
    count = int((read_json(path) or {}).get("count", 0)) + 1
    write_atomic(path, f'{{"count": {count}}}\n')
    return count <= int(os.environ.get("RFTLAB_MAX_TIME_LIMITS", "20"))


if __name__ == "__main__":
    main()
