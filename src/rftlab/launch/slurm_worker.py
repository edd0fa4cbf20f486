"""One task of a SLURM array: `python -m rftlab.launch.slurm_worker NOTE`, where NOTE lists the run folders by task.

SLURM warns with SIGUSR2 before a time limit or a preemption: the run saves at its next step boundary and goes back to
the queue. At SIGTERM alone (`scancel`, or a preemption on a site that sends nothing else) the run saves and waits for
what SLURM does with it.
"""

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

from rftlab import runs
from rftlab.errors import UserError
from rftlab.files import read_json, write_atomic
from rftlab.light import lighten
from rftlab.runs.records import load_config
from rftlab.stop import StopFlag, StopOnSignals
from rftlab.sweeps.slurm import scheduler

EARLY_S = 75.0  # SLURM may send the warning a minute early
TERM_KILL_S = 600.0  # no site leaves more between SIGTERM and SIGKILL
REQUEUE_KILL_S = 60.0  # SLURM ends a requeued job within seconds

log = logging.getLogger("rftlab")


def main() -> None:
    """Run the task that the environment names; the exit code tells SLURM whether the job failed."""
    started = time.time()
    lighten()
    stop = StopFlag()
    with StopOnSignals(stop, (signal.SIGTERM, signal.SIGUSR2)):  # before slow imports: a signal would end the process
        sys.exit(_work(stop, started))


def _work(stop: StopFlag, started: float) -> int:
    from rftlab.launch.worker import redirect_output, work
    from rftlab.sweeps.local import DONE, PRUNED, STOPPED

    task = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
    note = read_json(Path(sys.argv[1]))
    assert note is not None, f"{sys.argv[1]} is no note of a submission"
    folder = Path(note["folders"][task])
    redirect_output(folder)
    code = work(folder, stop)
    if code == STOPPED and signal.SIGUSR2 in stop.signals:
        return go_back(folder, started)
    if code == STOPPED:
        # Saved. Who sent SIGTERM ends this process too: scancel after KillWait, a preemption without SIGUSR2 at the end
        # of GraceTime, and SLURM requeues the latter only if the job is still there.
        log.info("waiting for the end")
        time.sleep(TERM_KILL_S)
    return DONE if code == PRUNED else code  # no failure, whatever it says of the run


def go_back(folder: Path, started: float) -> int:
    """Return to the queue, unless the time limit was reached too often; returns the exit code."""
    from rftlab.sweeps.local import FAILED, STOPPED

    if _was_time_limit(time.time() - started) and not _count_time_limit(folder):
        times = os.environ.get("RFTLAB_MAX_TIME_LIMITS")
        found = f"a run that its time limit has ended more than {times} times"
        error = UserError(
            found, "a run that ends within", "hydra.launcher.timeout_min or hydra.launcher.max_time_limits"
        )
        print(f"error: {error}", file=sys.stderr)
        runs.Run.claim(folder, load_config(folder / "config.yaml")).fail(error)
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
    """Count one more end of this run by this time limit (another one counts anew); returns whether it may go on."""
    path, limit = folder / "time_limits.json", os.environ.get("RFTLAB_TIME_LIMIT_S")
    before = read_json(path) or {}
    count = 1 + (int(before["count"]) if before.get("limit_s") == limit else 0)
    write_atomic(path, json.dumps({"count": count, "limit_s": limit}) + "\n")
    return count <= int(os.environ.get("RFTLAB_MAX_TIME_LIMITS", "20"))


if __name__ == "__main__":
    main()
