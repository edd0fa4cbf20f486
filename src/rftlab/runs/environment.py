"""What a run was made with: code version, package versions, hardware, command line."""

import json
import os
import platform
import re
import socket
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from rftlab.files import read_json
from rftlab.machine import memory_bytes, usable_cpus
from rftlab.place import INSTALLED, NAME, PACKAGE

SNAPSHOT_NOTE = "snapshot.json"
MAX_DIFF_CHARS = 200_000  # a larger difference is cut, and marked as cut
PACKAGES = (
    "rftlab", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas", "datasets", "hydra-core",
    "omegaconf", "mlflow", "rouge-score", "scipy",
)  # fmt: skip


def environment() -> dict[str, object]:
    """Describe this process in plain JSON values."""
    return {
        "host": socket.gethostname(),
        "command": [_without_credentials(argument) for argument in sys.argv],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(_packages()),
        "hardware": hardware(),
        **own_version(),
    }


@cache
def own_version() -> dict[str, object]:
    """Return the version of the code that this process runs, as it was when first asked.

    Later edits do not reach what is imported. A process from which jobs are forked therefore asks when it imports.
    """
    return version_now()


def version_now() -> dict[str, object]:
    """Return the version of the code as it lies there: a checkout, a snapshot, or what was installed from git."""
    version = code_version(PACKAGE.parents[1])
    return version | {"git_sha": _installed_commit()} if INSTALLED and version["git_sha"] is None else version


def _installed_commit() -> str | None:
    """Return the commit that an installer has noted (PEP 610), None where it installed a wheel or a folder."""
    try:
        noted = metadata.distribution(NAME).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    return json.loads(noted or "{}").get("vcs_info", {}).get("commit_id")


def code_version(root: Path) -> dict[str, object]:
    """Return the commit of a checkout and what differs from it; all None where `root` is not a checkout itself."""
    if (noted := read_json(root / SNAPSHOT_NOTE)) is not None:  # a copy of the code, which says what it was made from
        return noted
    top = _git(root, "rev-parse", "--show-toplevel")
    # An installed copy may lie inside another project's checkout, whose commit says nothing about this code.
    if top is None or Path(top.strip()) != root:
        return {"git_sha": None, "git_dirty": None, "git_diff": None, "git_untracked": None}
    changes = (_git(root, "status", "--porcelain") or "").splitlines()
    diff = _git(root, "diff", "HEAD") or ""
    return {
        "git_sha": (_git(root, "rev-parse", "HEAD") or "").strip() or None,
        "git_dirty": bool(changes),
        "git_diff": diff if len(diff) <= MAX_DIFF_CHARS else diff[:MAX_DIFF_CHARS] + "\n[cut]\n",
        "git_untracked": [line[3:] for line in changes if line.startswith("??")][:100],
    }


def hardware() -> dict[str, object]:
    """Return processor, memory and GPU names as the system lists them, without a GPU library."""
    gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    return {
        "cpu": _field(Path("/proc/cpuinfo"), "model name"),
        "cpus": usable_cpus(),
        "memory_gib": None if (memory := memory_bytes()) is None else round(memory / 2**30, 1),
        "gpus": [_field(path, "Model") for path in gpus],
        "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }


def _field(path: Path, name: str) -> str | None:
    try:
        text = path.read_text()
    except OSError:
        return None
    found = re.search(rf"^{name}\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return found.group(1).strip() if found else None


def _git(root: Path, *arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, errors="replace", timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None


@cache
def _packages() -> dict[str, str | None]:
    return {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _without_credentials(argument: str) -> str:
    return re.sub(r"://[^/@\s]+@", "://", argument)
