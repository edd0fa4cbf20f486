"""What the system tells of this process and its machine, on Linux and, where it tells less, elsewhere."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

MIB = 2**20
MEMINFO, OWN_GROUP, GROUPS = Path("/proc/meminfo"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
ANSWER_S = 20  # of nvidia-smi


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


def available_bytes() -> int | None:
    """Return the memory that new processes can have, in bytes, as the system and the limits of this process leave it.

    All of the machine's where the system does not say.
    """
    try:
        words = MEMINFO.read_text().split()
        of_machine = int(words[words.index("MemAvailable:") + 1]) * 1024
    except (OSError, ValueError):
        return memory_bytes()
    return min([of_machine, *_left_by_groups()])


def _left_by_groups() -> Iterator[int]:
    """Say what each control group of this process leaves (version 2): its limit, less what cannot be given back."""
    with suppress(OSError, ValueError, StopIteration):
        own = next(line for line in OWN_GROUP.read_text().splitlines() if line.startswith("0::"))
        folder = GROUPS / own.removeprefix("0::").strip("/")
        for group in (folder, *folder.parents):
            if not group.is_relative_to(GROUPS):
                return
            with suppress(OSError, ValueError):  # no limit: max is no number
                limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
                words = (group / "memory.stat").read_text().split()
                yield max(0, limit - used + int(words[words.index("inactive_file") + 1]))


def gpu_bytes(gpus: Sequence[str]) -> int | None:
    """Return the memory of the smallest of these GPUs, in bytes, without a GPU library; None where nothing says so."""
    asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", "-i", ",".join(gpus)]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=ANSWER_S, check=True).stdout.split()
        return min(int(word) for word in said) * MIB
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def peak_resident_mib() -> float | None:
    """Return the most memory that this process held, in MiB; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak * 1024 / MIB  # bytes there, KiB on Linux
