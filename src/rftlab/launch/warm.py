"""The first import of the fork server: it loads what jobs need, and ends with the process that launched the sweep."""

import ctypes
import gc
import os
import signal
import sys

from rftlab.sweeps.fork_server import LAUNCHER

if sys.platform == "linux":  # a sweep that is refused, or interrupted, while this imports leaves nothing behind
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.environ.get(LAUNCHER, str(os.getppid())) != str(os.getppid()):  # it was quicker
        sys.exit()

gc.disable()  # a collection walks over everything that is there already: a fifth of the time that the imports take
try:
    import rftlab.launch.libraries  # noqa: F401
except ImportError as error:  # which the fork server would pass over, and each job import all of it
    raise RuntimeError("what jobs import is not there") from error
gc.freeze()  # all of this stays: no job needs to walk over it, or to copy its pages
gc.enable()
