"""The first import of the fork server: it loads what jobs need, and ends with the process that launched the sweep."""

import ctypes
import os
import signal
import sys
from threading import Thread

from rftlab.light import importing, lighten
from rftlab.runs.environment import environment
from rftlab.sweeps.fork_server import LAUNCHER

if sys.platform == "linux":  # a sweep that is refused, or interrupted, while this imports leaves nothing behind
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.environ.get(LAUNCHER, str(os.getppid())) != str(os.getppid()):  # it was quicker
        sys.exit()

lighten()
# the version of the code as it is imported here: jobs may start after it was edited; git answers while this imports
version = Thread(target=environment)
version.start()
try:
    with importing():  # all of this stays: no job needs to walk over it, or to copy its pages
        import rftlab.launch.libraries  # noqa: F401
except ImportError as error:  # which the fork server would pass over, and each job import all of it
    raise RuntimeError("what jobs import is not there") from error
version.join()
