"""The process that jobs of this machine are forked from: it imports the libraries once, while a sweep is planned."""

import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rftlab.errors import UserError

LAUNCHER = "RFTLAB_LAUNCHER"  # variable with the process that the server ends with


def start_server(warm: str, source: Path | None = None) -> None:
    """Start the fork server, if it does not run yet; it imports the module `warm`.

    `source` is a snapshot of the code.
    """
    source = source or Path(__file__).resolve().parents[2]
    if str(source) not in sys.path:
        sys.path.insert(0, str(source))  # jobs take over this path, the server itself only the variable
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(source), *([before] if before else [])])
    os.environ[LAUNCHER] = str(os.getpid())
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", warm])
    resource_tracker.ensure_running()  # the server wants it, and its own start would let SIGTERM through again
    # handed down to the server and its jobs: a Ctrl-C of the terminal is not for them, and a job that is asked to stop
    # in its first moments hears of it when it can save (`receive_stops`)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    forkserver.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def receive_stops() -> None:
    """Let the SIGTERM through that this job may have been sent since its fork; call it when that is handled."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def wait_for_server() -> None:
    """Wait until the fork server has imported everything.

    Raises:
        UserError: It has ended instead.
    """
    process = multiprocessing.get_context("forkserver").Process(target=int)
    start_process(process)
    process.join()
    process.close()


def start_process(process: BaseProcess) -> None:
    """Fork a process from the server.

    Raises:
        UserError: The server has ended, as it cannot import the code.
    """
    try:
        process.start()
    except (EOFError, ConnectionError) as error:
        found = "the process that starts the jobs has ended (of an error above, or killed for its memory)"
        raise UserError(found, "code that can be imported, and room for it", "the code") from error


def stop_server() -> None:
    """End the fork server, if there is one: it was started on a guess, or from other code than the jobs shall run."""
    server: Any = forkserver._forkserver  # the standard library has no public way to end it
    if server._forkserver_pid is not None:
        with suppress(ProcessLookupError):
            os.kill(server._forkserver_pid, signal.SIGKILL)  # it may be busy importing, and need not finish
        server._stop()
