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
_SERVER: Any = forkserver._forkserver  # the standard library has no public way to look at it, or to end it


def start_server(warm: str, source: Path | None = None) -> None:
    """Start the fork server, unless it was started before; it imports the module `warm`.

    `source` is a snapshot of the code.
    """
    if _SERVER._forkserver_pid is not None:
        return
    source = source or Path(__file__).resolve().parents[2]
    if str(source) not in sys.path:
        sys.path.insert(0, str(source))  # jobs take over this path, the server itself only the variable
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(source), *([before] if before else [])])
    os.environ["PYTHONSAFEPATH"] = "1"  # or the working directory, perhaps src, would come before a snapshot
    os.environ[LAUNCHER] = str(os.getpid())
    multiprocessing.get_context("forkserver").set_forkserver_preload(["__main__", warm])
    _ensure_running()


def _ensure_running() -> None:
    """Start the server if there is none, or none any more.

    SIGINT and SIGTERM are blocked in it, and so in its jobs at first: a Ctrl-C of the terminal is not for them, and a
    job that is asked to stop in its first moments hears of it when it can save (`receive_stops`).
    """
    resource_tracker.ensure_running()  # the server wants it, and its own start would let the signals through again
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def receive_stops() -> None:
    """Let the SIGTERM through that this job may have been sent since its fork; call it when that is handled."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def ignore_stops() -> None:
    """Let no further SIGTERM end this job, as it ends anyway."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


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
    """Fork a process from the server; one that has ended is replaced.

    Raises:
        UserError: The server ends, as it cannot import the code.
    """
    _ensure_running()
    try:
        process.start()
    except (EOFError, OSError) as error:
        found = "the process that starts the jobs has ended (of an error above, or killed for its memory)"
        raise UserError(found, "code that can be imported, and room for it", "the code") from error


def lives(pid: int) -> bool:
    """Say whether there is such a process and it has not ended."""
    try:
        if Path("/proc/self/stat").exists():
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def stop_server() -> None:
    """End the fork server, if there is one: it was started on a guess, or from other code than the jobs shall run."""
    if _SERVER._forkserver_pid is not None:
        with suppress(ProcessLookupError):
            os.kill(_SERVER._forkserver_pid, signal.SIGKILL)  # it may be busy importing, and need not finish
        with suppress(FileNotFoundError):  # somebody has cleaned up the folder of its socket
            _SERVER._stop()
