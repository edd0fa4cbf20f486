"""The process that jobs of this machine are forked from: it imports the libraries once, while a sweep is planned."""

import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path
from typing import Any


def start_server(warm: str, source: Path | None = None) -> None:
    """Start the fork server, if it does not run yet; it imports the module `warm`.

    `source` is a snapshot of the code.
    """
    source = source or Path(__file__).resolve().parents[2]
    if str(source) not in sys.path:
        sys.path.insert(0, str(source))  # jobs take over this path, the server itself only the variable
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(source), *([before] if before else [])])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", warm])
    forkserver.ensure_running()


def stop_server() -> None:
    """End the fork server, if there is one: it was started on a guess, or from other code than the jobs shall run."""
    server: Any = forkserver._forkserver  # the standard library has no public way to end it
    if server._forkserver_pid is not None:
        with suppress(ProcessLookupError):
            os.kill(server._forkserver_pid, signal.SIGKILL)  # it may be busy importing, and need not finish
        server._stop()
