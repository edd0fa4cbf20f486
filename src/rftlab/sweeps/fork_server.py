"""The process that jobs of this machine are forked from: it imports the libraries once, while a sweep is planned."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from rftlab.errors import UserError
from rftlab.place import INSTALLED, PACKAGE

LAUNCHER = "RFTLAB_LAUNCHER"  # variable with the process that the server ends with
SOURCE = "RFTLAB_SOURCE"  # variable with the folder of the code that the server imports
HANDLES = Path("/proc/self/fd")
_SERVER: Any = forkserver._forkserver  # the standard library has no public way to look at it, or to end it


def start_server(warm: str, source: Path | None = None) -> None:
    """Start the fork server, which imports the module `warm`; one that has imported other code is ended.

    `source` is a snapshot of the code, None the code as it is.

    Raises:
        UserError: There is no folder for temporary files.
    """
    source = source or PACKAGE.parent
    if _SERVER._forkserver_pid is not None:
        if os.environ.get(SOURCE) == str(source):
            return
        stop_server()
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(source), *([before] if before else [])])
    os.environ["PYTHONSAFEPATH"] = "1"  # or the working directory, perhaps src, would come before a snapshot
    os.environ |= {LAUNCHER: str(os.getpid()), SOURCE: str(source)}
    multiprocessing.get_context("forkserver").set_forkserver_preload([warm])
    _ensure_running()


def own_path() -> str:
    """Return the PYTHONPATH of a process that shall run the code of this one, and no snapshot of it."""
    others = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place != os.environ.get(SOURCE)]
    # what is installed is found anyway, and on PYTHONPATH it would come before the standard library
    return os.pathsep.join([*([] if INSTALLED else [str(PACKAGE.parent)]), *filter(None, others)])


def _ensure_running() -> None:
    """Start the server if there is none, or none any more.

    SIGINT and SIGTERM are blocked in it, and so in its jobs at first: a Ctrl-C of the terminal is not for them, and a
    job that is asked to stop in its first moments hears of it when it can save (`receive_stops`).

    Raises:
        UserError: There is no folder for temporary files.
    """
    resource_tracker.ensure_running()  # the server wants it, and its own start would let the signals through again
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with _short_socket(), _source_alone():
            forkserver.ensure_running()
    except OSError as error:
        raise UserError(
            f"no place for temporary files ({error})", "a writable folder with free space", "TMPDIR"
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def _short_socket() -> Generator[None]:
    """Let the server's socket have a short path, wherever TMPDIR lies: the system takes 107 characters.

    The socket stays in the private folder that `multiprocessing` makes in TMPDIR and removes at the end; this process
    names it through a handle of that folder. A socket in the abstract namespace would be open to every user of the
    machine (CVE-2022-42919).
    """
    if not HANDLES.is_dir():
        yield
        return
    folder, settings = util.get_temp_dir(), _settings(multiprocessing.current_process())
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    settings["tempdir"] = short = str(HANDLES / str(handle))
    try:
        yield
    finally:
        settings["tempdir"] = folder  # jobs take it over, and have no such handle
        if not str(_SERVER._forkserver_address).startswith(f"{short}/"):
            os.close(handle)  # the server was there; else jobs are asked for through the handle, as long as it is


def _settings(process: Any) -> dict[str, Any]:
    """Return what `multiprocessing` keeps of a process; it has no public way to say where sockets go."""
    return process._config


@contextmanager
def _source_alone() -> Generator[None]:
    """Let the server, and each job, look for modules in its code first; this process goes on with its own.

    `multiprocessing` would also have each job run the file that was started, as it is by then; no job needs it.
    """
    path, main = sys.path, sys.modules["__main__"]
    sys.path = [os.environ[SOURCE], *path] if SOURCE in os.environ else path
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.path, sys.modules["__main__"] = path, main


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
        with _source_alone():
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
