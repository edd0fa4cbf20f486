"""MLflow as a mirror of the run folder: training neither waits for it nor fails because of it.

A daemon thread reads what runs wrote and sends it; what it could not send, `sync` sends later. Sending twice adds
nothing, because a metric is identified by name, time, step and value, and all four come from the file. Both attempts of
a resumed run are sent; readers take the last value per step. Infinite values are sent as tags `infinite.<metric>`.
"""

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rftlab.files import FileLock
from rftlab.place import program
from rftlab.runs import ROWS, RunRecord, read_run, state_of
from rftlab.runs.naming import NEAR_CHANCE, data_name, data_source, model_name, near_chance
from rftlab.runs.records import load_config
from rftlab.tracking.spool import (
    MAX_SAMPLES_BYTES,
    Point,
    Position,
    load_position,
    newest_lines,
    params,
    save_position,
    split_infinite,
    unsent,
)
from rftlab.tracking.store import Destination, absolute_uri, may_pass, open_store, prepare, store_name

__all__ = [
    "Destination", "Mirror", "SyncReport", "destination_of", "lacks_end", "mirroring", "prepare", "store_name", "sync",
]  # fmt: skip

STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED", "lost": "KILLED"}
EARLY_FILES = ("config.yaml", "env.json")
FILES = (*EARLY_FILES, ROWS, "prompts.parquet", "samples.jsonl", "DONE")
HEAD_START_S = 1.0  # a run loads data and models first: the thread would take half of its interpreter
MAX_WAIT_S = 60.0  # between two tries while the server does not answer
SYNC_PAUSES_S = (1.0, 3.0)  # before `sync` tries a folder again
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class SyncReport:
    """What `sync` did. All numbers are zero where nothing was missing."""

    runs: int = 0  # folders looked at
    created: int = 0  # runs that the server did not have
    metrics: int = 0
    files: int = 0
    busy: list[Path] = field(default_factory=list)  # their own mirror is at work
    failed: dict[Path, str] = field(default_factory=dict)


class Mirror:
    """Send run folders to MLflow while their runs go on: those of a whole sweep, or the one of this process."""

    def __init__(self, every_s: float, ahead: Callable[[], object] | None = None) -> None:
        """Start the thread, which looks at the folders every `every_s` seconds.

        `ahead` is called in it at once, to prepare the place of runs that start later.
        """
        self._every_s = every_s
        self._ahead = ahead
        self._mirrored: dict[Path, _MirroredRun] = {}
        self._closing = threading.Event()
        self._failures = 0
        self._told = False
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether there are runs of which something is not sent, or may still come."""
        return bool(self._mirrored)

    def begin(self, folder: Path, destination: Callable[[], Destination] | None) -> None:
        """Send this run from now on, if there is a destination.

        The call may prepare what it returns, and is made in the thread.
        """
        if destination is not None:
            self._mirrored[folder] = _MirroredRun(folder, destination)

    def end(self, folder: Path) -> None:
        """Say that the run has ended, or that its process has: the rest is sent, and the state that it left."""
        if folder in self._mirrored:
            self._mirrored[folder].ended = True

    def close(self, timeout_s: float) -> bool:
        """End all runs, send the rest within `timeout_s`; return whether everything arrived. A Ctrl-C ends the wait."""
        self._closing.set()
        with suppress(KeyboardInterrupt):
            self._thread.join(timeout_s)
        unsent = sorted(folder.name for folder in list(self._mirrored))
        if unsent:
            which = ", ".join(unsent[:3]) + (", ..." if len(unsent) > 3 else "")
            _log.warning("tracking: part of %s is not sent yet; `%s sync` sends it", which, program("sweep"))
        return not unsent

    def _run(self) -> None:
        if self._ahead is None:
            self._closing.wait(HEAD_START_S)
        else:
            self._prepare(self._ahead)
        last = False
        while not last:
            last = self._closing.is_set()
            self._round(last)
            if not last:
                self._closing.wait(self._pause_s())
        for mirrored in self._mirrored.values():
            mirrored.release()

    def _prepare(self, ahead: Callable[[], object]) -> None:
        try:
            ahead()
        except Exception as error:  # whatever the server does, the runs start, and prepare it themselves
            self._tell(error)

    def _round(self, last: bool) -> None:
        """Send what every run has to send; those that could not be sent before come last."""
        for folder, mirrored in sorted(self._mirrored.items(), key=lambda item: item[1].failures):
            ended = mirrored.ended or last
            try:
                if mirrored.send(ended):
                    del self._mirrored[folder]
                self._failures = mirrored.failures = 0
            except Exception as error:  # whatever goes wrong out there must not end the mirror, still less a run
                self._failures += 1
                mirrored.failures += 1
                self._tell(error)
                if may_pass(error) and not last:  # nobody answers, so the others need not ask now
                    return

    def _pause_s(self) -> float:
        """Return the time to the next round, longer the more tries in a row have failed."""
        return min(self._every_s * 2 ** min(self._failures, 10), max(MAX_WAIT_S, self._every_s))

    def _tell(self, error: Exception) -> None:
        if not self._told:
            _log.warning("tracking: %s; training goes on, and what is missed is sent later", _short(error))
            self._told = True


@contextmanager
def mirroring(config: Mapping[str, Any], *, ahead: bool = False) -> Generator[Mirror]:
    """Send the runs that are begun in the block, and at its end wait a bounded time for the rest.

    `ahead` prepares the place of a run with this config at once. After a Ctrl-C or an error nobody waits for that.
    """
    settings = config["tracking"]
    mirror = Mirror(settings["send_every_s"], destination_of(config) if ahead else None)
    whole = False
    try:
        yield mirror
        whole = True
    finally:
        mirror.close(settings["close_timeout_s"] if whole or mirror.busy else 0.0)


def destination_of(config: Mapping[str, Any]) -> Callable[[], Destination] | None:
    """Return the call that prepares the place of a run with this config, None where it has no address."""
    if config["tracking"]["uri"] is None:
        return None
    outputs = Path(config["paths"]["outputs"])
    return partial(prepare, config["tracking"]["uri"], config["sweep"]["name"], outputs)


def lacks_end(folder: Path, uri: str) -> bool:
    """Say whether a finished run was to be sent to this address, and its folder does not note that its end was."""
    address = absolute_uri(uri)
    if load_position(folder, store_name(address)).status == STATUS["done"]:
        return False
    asked = load_config(folder / "config.yaml")["tracking"]["uri"]
    return asked is not None and absolute_uri(asked) == address


class _MirroredRun:
    """One run folder that a mirror looks after."""

    def __init__(self, folder: Path, destination: Callable[[], Destination]) -> None:
        self.ended = False
        self.failures = 0  # tries in a row
        self._folder = folder
        self._destination = destination
        self._lock = _mirror_lock(folder)
        self._sender: _Sender | None = None

    def send(self, ended: bool) -> bool:
        """Send what is there, and the end of a run that has ended; returns whether nothing of it is left to send."""
        if not (self._folder / "status.json").exists():
            return ended  # no attempt was made yet, or none at all
        if not (self._lock.held or self._lock.take(0.0)):  # somebody else sends it, perhaps without its end
            return ended and state_of(self._folder) == "running"
        try:
            self._sender = self._sender or _Sender(self._folder, self._destination(), SyncReport())
            self._sender.send()
            if ended:
                self._sender.send_end()
        except Exception:
            self._sender = None  # the next try looks again whether the server still has the run
            raise
        if ended:
            self.release()
        return ended

    def release(self) -> None:
        """Let others send this run."""
        self._lock.release()


def sync(folders: Iterable[Path], destination_for: Callable[[str], Destination]) -> SyncReport:
    """Send whatever the server misses of these run folders; `destination_for` maps a sweep's name to its destination.

    A second call adds nothing. What goes wrong with one folder, or with one sweep, is reported and the others go on.
    """
    report = SyncReport()
    by_sweep: dict[str, list[Path]] = {}
    for folder in folders:
        by_sweep.setdefault(folder.parent.name, []).append(folder)
    for sweep, members in by_sweep.items():
        report.runs += len(members)
        try:
            destination = destination_for(sweep)
        except Exception as error:
            report.failed.update(dict.fromkeys(members, _short(error)))
            continue
        for folder in members:
            try:
                _sync_one(folder, destination, report)
            except Exception as error:
                report.failed[folder] = _short(error)
    return report


def _sync_one(folder: Path, destination: Destination, report: SyncReport) -> None:
    lock = _mirror_lock(folder)
    if not lock.take(0.0):
        report.busy.append(folder)
        return
    try:
        for pause_s in (*SYNC_PAUSES_S, None):
            try:
                sender = _Sender(folder, destination, report)
                sender.send()
                sender.send_end()
                return
            except Exception as error:
                if pause_s is None or not may_pass(error):
                    raise
                time.sleep(pause_s)
    finally:
        lock.release()


class _Sender:
    """One run folder on its way to one run on the server."""

    def __init__(self, folder: Path, destination: Destination, report: SyncReport) -> None:
        """Find the run on the server, or create it; what is sent from now on is counted in `report`."""
        self._report = report
        self._folder = folder
        self._destination = destination
        self._name = store_name(destination.uri)
        self._store = open_store(destination.uri)
        self._position, self._run_id = self._find_or_create(read_run(folder))

    def _find_or_create(self, record: RunRecord) -> tuple[Position, str]:
        position = load_position(self._folder, self._name)
        if position.run_id is not None and self._store.is_active(position.run_id):
            return position, position.run_id
        if position.run_id is not None:  # deleted on the server: everything is sent to a new run
            position = Position()
        save_position(self._folder, self._name, position)  # the uid first, so that a crash here leaves no second run
        experiment_id = self._destination.experiment_id
        run_id = self._store.find_run(experiment_id, f"tags.uid = '{position.uid}'")
        run_id = run_id or self._create(record, position.uid)
        self._store.send_params(run_id, params(record.config))
        position.run_id, position.status = run_id, "RUNNING"
        save_position(self._folder, self._name, position)
        return position, run_id

    def _create(self, record: RunRecord, uid: str) -> str:
        tags = {"mlflow.parentRunId": self._destination.parent_run_id, "kind": "run", "uid": uid}
        run = self._store.client.create_run(
            self._destination.experiment_id,
            start_time=_milliseconds(record.status.get("started")),
            tags=tags,
            run_name=self._folder.name,
        )
        self._report.created += 1
        return run.info.run_id

    def send(self) -> None:
        """Send the start of a new attempt and every metric line that is not sent yet."""
        record = read_run(self._folder)
        attempt = int(record.status.get("attempt", 0))
        if attempt != self._position.attempt:
            self._start_attempt(record, attempt)
        for points, offset in unsent(self._folder / "metrics.jsonl", self._position.offset):
            if offset != self._position.offset:
                self._send_points(points)
                self._position.offset = offset
                self._save()

    def _start_attempt(self, record: RunRecord, attempt: int) -> None:
        self._store.send_tags(self._run_id, _tags(record))
        self._send_files(EARLY_FILES)
        if self._position.status != "RUNNING" and record.state == "running":
            self._store.client.update_run(self._run_id, status="RUNNING")
            self._position.status = "RUNNING"
        self._position.attempt = attempt
        self._save()

    def _send_points(self, points: list[Point]) -> None:
        finite, infinite = split_infinite(points)
        self._store.send_points(self._run_id, finite)
        self._store.send_tags(self._run_id, infinite)
        self._report.metrics += len(points)

    def send_end(self) -> None:
        """Send the files, and the status of a run that has ended."""
        record = read_run(self._folder)
        self._send_files(FILES)
        status = STATUS.get(record.state)
        if status is not None and status != self._position.status:
            ended = record.status.get("ended", record.status.get("heartbeat"))
            self._store.send_tags(
                self._run_id, _names(record.flat)
            )  # an attempt's own came before the model was loaded
            self._store.client.set_terminated(self._run_id, status, _milliseconds(ended))
            self._position.status = status
            self._save()

    def _send_files(self, names: Iterable[str]) -> None:
        for name in names:
            path = self._folder / name
            if not path.exists():
                continue
            stamp = [path.stat().st_size, path.stat().st_mtime_ns]
            if self._position.files.get(name) == stamp:
                continue
            if name == "samples.jsonl":
                self._store.client.log_text(self._run_id, newest_lines(path, MAX_SAMPLES_BYTES), name)
            else:
                self._store.client.log_artifact(self._run_id, str(path))
            if name == ROWS:  # once it is there: a run starts before it has read its rows
                rows = read_run(self._folder).rows or {}
                self._store.send_tags(self._run_id, {f"rows.{split}": text for split, text in rows.items()})
            self._report.files += 1
            self._position.files[name] = stamp
            self._save()

    def _save(self) -> None:
        save_position(self._folder, self._name, self._position)


def _tags(record: RunRecord) -> dict[str, str]:
    env = record.env
    tags = {
        "run_key": record.key,
        "attempt": record.status.get("attempt"),
        "sweep": record.sweep,
        "scale": record.config.get("scale"),
        **_names(record.flat),
        "host": record.status.get("host"),
        "git_sha": env.get("git_sha"),
        "git_dirty": env.get("git_dirty"),
    }
    return {name: str(value) for name, value in tags.items() if value is not None}


def _names(flat: Mapping[str, Any]) -> dict[str, str]:
    """Say what the run loaded; the architecture is known once the model is."""
    names = {"data_source": data_source(flat)}
    names |= {"model": model_name(flat)} if "model.name" in flat else {}
    names |= {"data": data_name(flat)} if "data.name" in flat else {}
    names |= {"architecture": str(flat["loaded.architecture"])} if "loaded.architecture" in flat else {}
    return names | ({"warning": NEAR_CHANCE} if near_chance(flat) else {})


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _mirror_lock(folder: Path) -> FileLock:
    return FileLock(folder / ".tracking.lock")


def _short(error: Exception) -> str:
    text = store_name(next(iter(str(error).splitlines()), ""))
    return f"{type(error).__name__}: {text[:200]}"
