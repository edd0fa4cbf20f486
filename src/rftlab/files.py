"""Files that survive a crash: a reader sees the old content or the new one, and a lock dies with its process."""

import json
import math
import os
import re
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, SupportsFloat

import filelock

from rftlab.errors import unwritable

fcntl = import_module("fcntl") if find_spec("fcntl") is not None else None  # locks that several may hold

POLL_S = 0.02  # between two tries for a lock
MODE = 0o666  # of a new file; what the umask of the user takes away from it, and nothing else, is taken away
NETWORK_FILE_SYSTEMS = {
    "afs", "beegfs", "ceph", "cephfs", "cifs", "fhgfs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2",
    "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "wekafs",
}  # fmt: skip
NETWORK_FUSE = {
    "beegfs", "ceph", "cephfs", "davfs", "gcsfuse", "glusterfs", "juicefs", "mfs", "moosefs", "mount-s3", "quobyte",
    "rclone", "s3fs", "seaweedfs", "sshfs", "wekafs",
}  # fmt: skip


@contextmanager
def disk_errors(path: Path) -> Generator[None, None, None]:
    """Turn a failed write (disk full, quota, permission) into a `UserError` that names the file."""
    try:
        yield
    except OSError as error:
        change = "paths.outputs, or make room there, and run the same command again"
        raise unwritable(path, error, change, "a writable folder with free space") from error


@contextmanager
def replacing(path: Path, durable: bool = True) -> Generator[BinaryIO, None, None]:
    """Yield a file that takes the place of `path` when the block ends well; otherwise `path` stays as it was.

    `durable` also waits until the disk has it, so that the content survives a power loss.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    with disk_errors(path):
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)
            if durable:
                sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_atomic(path: Path, text: str, durable: bool = True) -> None:
    """Replace the content of `path` in one step."""
    with replacing(path, durable) as file:
        file.write(text.encode())


def usual_mode(folder: Path) -> int:
    """Return the mode that the umask gives a new file, for files of libraries that lock the group out."""
    probe = folder / f".mode.{os.getpid()}-{threading.get_ident()}.tmp"
    probe.touch(MODE)
    mode = probe.stat().st_mode & MODE
    probe.unlink()
    return mode


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, folders and names in order; linked folders are entered, each folder once."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:  # a link back, or a second one to the same place
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(place, name)).is_file())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder (a rename, a removal) are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, or None where the file is absent or holds something else."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None


def encode_floats(values: Mapping[str, SupportsFloat]) -> dict[str, float | str]:
    """Return values that strict JSON can hold: NaN and infinities become "NaN", "Infinity", "-Infinity"."""
    numbers = {name: float(value) for name, value in values.items()}
    return {name: value if math.isfinite(value) else _non_finite(value) for name, value in numbers.items()}


def decode_floats(values: Mapping[str, SupportsFloat | str]) -> dict[str, float]:
    """Invert `encode_floats`."""
    return {name: float(value) for name, value in values.items()}


def _non_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


class AppendFile:
    """A file that only grows, one whole line per write; a line torn by a crash is closed before the next one."""

    def __init__(self, path: Path) -> None:
        with disk_errors(path):
            self._path = path
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, MODE)
            if not self._ends_with_newline():
                os.write(self._handle, b"\n")

    def _ends_with_newline(self) -> bool:
        size = os.fstat(self._handle).st_size
        return size == 0 or os.pread(self._handle, 1, size - 1) == b"\n"

    def append(self, text: str) -> None:
        """Write whole lines (`text` ends with a newline) in one call; a short write is taken back and raised."""
        content = text.encode()
        with disk_errors(self._path):
            before = os.fstat(self._handle).st_size
            written = os.write(self._handle, content)
            if written != len(content):
                os.ftruncate(self._handle, before)
                raise OSError(f"only {written} of {len(content)} bytes fitted")

    def flush(self) -> None:
        """Wait until the disk has every line."""
        with disk_errors(self._path):
            os.fsync(self._handle)

    def close(self) -> None:
        os.close(self._handle)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a line file; a line that a crash tore is not JSON and is skipped."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for line in content.splitlines():
        row = parse_line(line)
        if row is not None:
            yield row


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return the object of one line, or None where the line is blank or torn."""
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    return row if isinstance(row, dict) else None


class FileLock:
    """An exclusive lock on a file: the system releases it when the process that took it ends, however it ends.

    A forked child (a data-loading worker) does not hold it, and does not keep it when its parent is killed. The file
    stays; removing it would let two processes lock two different files of the same name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # one lock for all threads; a file that says who holds it, in place of a lock, would outlive a killed process
        self._lock = filelock.FileLock(path, thread_local=False, fallback_to_soft=False)

    @property
    def held(self) -> bool:
        return self._lock.is_locked

    def take(self, wait_s: float) -> bool:
        """Try for at most `wait_s` seconds; return whether the lock is held."""
        with disk_errors(self._path):
            try:
                self._lock.acquire(timeout=wait_s, poll_interval=POLL_S)
            except filelock.Timeout:
                return False
        return True

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        self._lock.release()


def is_locked(path: Path) -> bool:
    """Say whether some process holds the lock; looking takes a lock for an instant, shared where the system has such.

    Looks do not take each other for holders then, and need no right to write.
    """
    try:
        handle = os.open(path, os.O_RDONLY if fcntl else os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    if fcntl is None:
        return filelock.lock_descriptor(handle, blocking=False)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def shared_file_system(path: Path) -> str | None:
    """Return the type (nfs4, lustre, fuse.sshfs, ...) of the file system that a path lies on if other hosts share it.

    None stands for a local disk, and for a system that does not tell (Linux alone does).
    """
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return None
    kind = file_system(mounts, path.resolve())
    name, _, program = (kind or "").lower().partition(".")
    return kind if name in NETWORK_FILE_SYSTEMS or (name == "fuse" and program in NETWORK_FUSE) else None


def file_system(mountinfo: str, path: Path) -> str | None:
    """Return the type of the file system that an absolute path lies on; `mountinfo` is the text of that proc file."""
    found: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) < 5 or not source:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), fields[4]))
        depth = len(point.parts)
        # of two mounts on one point the later one hides the earlier
        if path.is_relative_to(point) and (found is None or depth >= found[0]):
            found = depth, source.split(" ")[0]
    return None if found is None else found[1]
