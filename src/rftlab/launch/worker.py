"""The process of one job: train from the frozen config of its run folder, write its log, end with a telling exit code.

A job knows nothing of the sweep that started it, so what it computes cannot depend on how it was started.
"""

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Generator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from rftlab import runs
from rftlab.errors import UserError
from rftlab.files import MODE, read_json
from rftlab.light import importing
from rftlab.runs.records import load_config, log_path
from rftlab.stop import StopFlag, StopOnSignals, StopRequested
from rftlab.sweeps.fork_server import ignore_stops, receive_stops
from rftlab.sweeps.local import DONE, ELSEWHERE, FAILED, PRUNED, STOPPED

LOOK_S = 1.0  # between two looks at whether a search has given the run up

log = logging.getLogger("rftlab")


def work_in_slot(folder: Path, gpu: str, sign_of_life: Connection) -> None:
    """Run a job in a process that the local launcher has forked; it saves and stops when the launcher dies."""
    os.setsid()  # a Ctrl-C of the terminal reaches the launcher alone, which then asks
    if gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    redirect_output(folder)
    stop = StopFlag()
    threading.Thread(target=_stop_with_launcher, args=(sign_of_life, stop), daemon=True).start()
    with StopOnSignals(stop, (signal.SIGTERM,)):
        receive_stops()
        code = work(folder, stop, mirror=False)  # the launcher sends it
        ignore_stops()
        sys.exit(code)


def _stop_with_launcher(sign_of_life: Connection, stop: StopFlag) -> None:
    sign_of_life.poll(None)  # until the other end is closed
    stop.request("the process that launched the sweep has ended")


@contextmanager
def _stopped_when_pruned(folder: Path, stop: StopFlag) -> Generator[None]:
    """Ask the run to stop, while the block lasts, once a search has given it up.

    A file in the run folder says so on every node, where a signal would have to find the process.
    """
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            if (why := runs.pruned(folder)) is not None:
                stop.request(f"pruned: {why.get('reason')}")
                return

    threading.Thread(target=look, name="pruning", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def redirect_output(folder: Path) -> None:
    """Send standard output and standard error of this process, libraries included, to the job's log."""
    handle = os.open(log_path(folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND, MODE)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)


def work(folder: Path, stop: StopFlag, *, mirror: bool = True) -> int:
    """Train the run in `folder`; returns the exit code of the process. Errors are in the log and in `status.json`.

    `mirror` says whether this process sends the run to the tracking server.
    """
    if runs.pruned(folder) is not None:
        log.info("a search has given this run up")
        return PRUNED
    config = load_config(folder / "config.yaml")
    before = read_json(folder / "status.json")
    try:
        with importing():
            from rftlab.build.training import train

        with _stopped_when_pruned(folder, stop):
            train(config, folder, stop, mirror=mirror)
    except runs.RunIsDone:
        log.info("done before")
    except runs.RunIsLive as live:
        log.info("left alone: %s", live)
        return ELSEWHERE
    except StopRequested as request:
        log.info("stopped: %s", request)
        return PRUNED if runs.state_of(folder) == "pruned" else STOPPED
    except Exception as error:
        if isinstance(error, UserError):
            print(f"error: {error}", file=sys.stderr)
        else:
            traceback.print_exc()
        if read_json(folder / "status.json") == before:  # it failed before it was claimed, so nothing says so yet
            with suppress(runs.RunIsDone, runs.RunIsLive, UserError):
                runs.Run.claim(folder, config).fail(error)
        return FAILED
    return DONE
