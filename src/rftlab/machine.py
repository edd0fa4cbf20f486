"""What the system tells of this process and its machine, on Linux and, where it tells less, elsewhere."""

import os
import sys
from contextlib import suppress

MIB = 2**20


def usable_cpus() -> int:
    """Return how many CPUs this process may use; all of them where the system does not say."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Return the memory of the machine in bytes; None where the system does not say."""
    with suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def peak_resident_mib() -> float | None:
    """Return the most memory that this process held, in MiB; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak * 1024 / MIB  # bytes there, KiB on Linux
