"""One attempt at a run: who may write its folder, what is written and when, and how the attempt ended."""

import json
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsFloat

import yaml

from rftlab.errors import UserError
from rftlab.files import AppendFile, FileLock, disk_errors, encode_floats, read_json, replacing, write_atomic
from rftlab.machine import peak_resident_mib
from rftlab.runs.cost import shape
from rftlab.runs.environment import environment, hardware
from rftlab.runs.identity import SCHEMA_VERSION, canonical_json, changed_keys, identity
from rftlab.runs.records import LOCK, finished, lease_holds, load_config
from rftlab.stop import StopRequested

HEARTBEAT_S = 30.0  # seconds between two signs of life in status.json
CLAIM_WAIT_S = 0.5  # a reader that looks at the lock holds it for an instant
MAX_ERROR_CHARS = 20_000

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_log = logging.getLogger(__name__)


class RunIsLive(Exception):
    """Another process works on this run: leave it alone."""

    def __init__(self, folder: Path, status: Mapping[str, Any]) -> None:
        self.folder = folder
        self.host, self.pid, self.since = status.get("host"), status.get("pid"), status.get("started")
        self.job_id = status.get("job_id")
        since = "an unknown time" if self.since is None else time.strftime("%F %T", time.localtime(self.since))
        job = f", job {self.job_id}" if self.job_id else ""
        super().__init__(f"{folder} is being worked on by process {self.pid} on {self.host}{job} since {since}")


class RunIsDone(Exception):
    """The run was finished before; `final` holds its metrics."""

    def __init__(self, folder: Path, final: dict[str, float]) -> None:
        self.folder, self.final = folder, final
        super().__init__(f"{folder} is finished")


class Run:
    """The handle of one running attempt; as a context manager it records how the attempt ended."""

    def __init__(self, folder: Path, lock: FileLock, status: dict[str, Any], shape: str, gpu: bool) -> None:
        """Take over a folder whose lock is held; use `Run.claim`."""
        self.folder = folder
        self.attempt: int = status["attempt"]
        self._shape, self._gpu = shape, gpu
        self._first_step = 1  # of this attempt; a loop may log no step before its last
        self._lock = lock
        self._status = status
        self._status_lock = threading.Lock()
        self._ended = threading.Event()
        self._metrics = AppendFile(folder / "metrics.jsonl")
        self._samples = AppendFile(folder / "samples.jsonl")
        self._write_status(durable=True)
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    @classmethod
    def claim(cls, folder: Path, config: Mapping, extra: Mapping[str, object] | None = None) -> "Run":
        """Start an attempt: lock the folder for the life of this process, store config and environment.

        `extra` joins the environment record; its `device` (cpu or cuda) says what the cost of a step is measured on.

        Raises:
            RunIsDone: nothing is left to do.
            RunIsLive: another process holds the run.
            UserError: the folder cannot be written, or holds another config under the same key.
        """
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        if not lock.take(CLAIM_WAIT_S):
            raise RunIsLive(folder, read_json(folder / "status.json") or {})
        try:
            status = _new_status(folder)
            freeze(folder, config)
            run = cls(folder, lock, status, shape(config), gpu=(extra or {}).get("device") == "cuda")
            _store_environment(folder / "env.json", config, status, extra or {})
            return run
        except BaseException:
            lock.release()
            raise

    def log(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        """Append one line of metrics."""
        line = {"step": step, "time": time.time(), "attempt": self.attempt, "metrics": encode_floats(metrics)}
        self._metrics.append(json.dumps(line, allow_nan=False) + "\n")
        self._status["step"] = step

    def log_samples(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Append decoded responses, one line each."""
        lines = [json.dumps({"attempt": self.attempt, **row}, ensure_ascii=False) + "\n" for row in rows]
        if lines:
            self._samples.append("".join(lines))

    def save_prompts(self, frame: Any) -> None:
        """Store per-prompt statistics (a pandas frame); rows of the same look replace older ones."""
        import pandas as pd

        path = self.folder / "prompts.parquet"
        if path.exists():
            old = pd.read_parquet(path)
            keys = ["phase", "step", "split", "decoding"]
            new_parts = set(frame[keys].itertuples(index=False, name=None))
            kept = [part not in new_parts for part in old[keys].itertuples(index=False, name=None)]
            frame = pd.concat([old[kept], frame], ignore_index=True)
        with replacing(path) as file:
            frame.to_parquet(file, index=False)

    def save_cases(self, frame: Any) -> None:
        """Store a table of measured cases (a pandas frame, a row per case), replacing an older one."""
        with replacing(self.folder / "cases.parquet") as file:
            frame.to_parquet(file, index=False)

    def flush(self) -> None:
        """Wait until the disk has every line. Call it before a checkpoint: no resume then starts behind a lost line."""
        self._metrics.flush()
        self._samples.flush()

    def goes_on_from(self, step: int) -> None:
        """Note that this attempt resumes behind `step` steps of earlier ones: its cost counts from there."""
        self._first_step = step + 1

    def ready(self, setup_s: float, architecture: str | None = None) -> None:
        """Note in `status.json` how many seconds this attempt took to load data and models, and what the model is."""
        self._status |= {"setup_s": setup_s, "architecture": architecture}
        self._write_status(durable=False)

    def heartbeat(self) -> None:
        """Write a sign of life now; a thread does so every `HEARTBEAT_S` anyway."""
        self._write_status(durable=False)

    def finish(self, final: Mapping[str, SupportsFloat]) -> None:
        """Mark the run done. `DONE` is written last: whoever sees it can rely on everything else."""
        self.flush()
        self._end("done")
        done = {"final": encode_floats(final), "attempt": self.attempt, "time": time.time(), "cost": self._cost()}
        write_atomic(self.folder / "DONE", json.dumps(done, indent=1, allow_nan=False) + "\n")
        self._lock.release()

    def _cost(self) -> dict[str, Any] | None:
        """Say what a step of this run took, start-up and evaluations included, for estimates of runs like it."""
        steps = (self._status["step"] or 0) - self._first_step + 1
        if steps < 1:  # nothing was done but the end
            return None
        seconds = time.time() - self._status["started"]
        cost: dict[str, object] = {"shape": self._shape, "seconds_per_step": seconds / steps}
        cost |= {} if (peak := _peak_mib(self._gpu)) is None else {"peak_mib": peak}
        return {**cost, "device": _device_name(self._gpu), "gpu": self._gpu}

    def fail(self, error: BaseException) -> None:
        """Record an error as the end of this attempt; the next claim resumes."""
        text = "".join(traceback.format_exception(error))[-MAX_ERROR_CHARS:]
        self._end("failed", error=f"{type(error).__name__}: {error}", traceback=text)
        self._lock.release()

    def stop(self, reason: str | None = None) -> None:
        """End this attempt before the run is finished (preemption, Ctrl-C); the next claim resumes."""
        self._end("stopped", reason=reason)
        self._lock.release()

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._ended.is_set():
                return
            if isinstance(error, StopRequested):
                self.stop(str(error))
            elif isinstance(error, Exception):
                self.fail(error)
            else:
                self.stop(kind.__name__ if kind is not None else None)
        except UserError as disk_error:  # a full disk must not hide the error that ended the run
            _log.warning("the end of this attempt is not recorded: %s", disk_error)
        finally:
            self._lock.release()

    def _end(self, state: str, **details: object) -> None:
        self._ended.set()
        with self._status_lock:
            self._status.update(state=state, ended=time.time(), **details)
        self._write_status(durable=True)
        self._metrics.close()
        self._samples.close()

    def _write_status(self, durable: bool) -> None:
        with self._status_lock:
            self._status["heartbeat"] = time.time()
            write_atomic(self.folder / "status.json", json.dumps(self._status, indent=1) + "\n", durable)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            try:
                self.heartbeat()
            except UserError as error:
                _log.warning("no sign of life written: %s", error)


def _new_status(folder: Path) -> dict[str, Any]:
    """Return the status of a new attempt, or raise where the run is done or another host still works on it."""
    final = finished(folder)
    if final is not None:
        raise RunIsDone(folder, final)
    before = read_json(folder / "status.json") or {}
    if before.get("state") == "running" and lease_holds(before) and not _same_job_restarted(before):
        raise RunIsLive(folder, before)
    return {
        "state": "running",
        "attempt": int(before.get("attempt", 0)) + 1,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "job_id": _job_id(),
        "restart": int(os.environ.get("SLURM_RESTART_COUNT", "0")),
        "started": time.time(),
        "step": before.get("step"),
    }


def _same_job_restarted(status: Mapping[str, Any]) -> bool:
    """Say whether the scheduler restarted the job of the last attempt, which it does only when that attempt is dead."""
    restart = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    return status.get("job_id") is not None and status["job_id"] == _job_id() and restart > status.get("restart", 0)


def _peak_mib(gpu: bool) -> float | None:
    """Return the most memory that this process held: of the GPU where it ran on one, else resident, in MiB.

    None where the system does not say.
    """
    torch = sys.modules.get("torch")  # imported by whoever computes on a GPU
    if gpu and torch is not None:
        return torch.cuda.max_memory_allocated() / 2**20
    return peak_resident_mib()


def _device_name(gpu: bool) -> str:
    found = hardware()
    gpus = [name for name in found["gpus"] if name]  # ty: ignore[not-iterable]
    return (gpus[0] if gpus else "GPU") if gpu else str(found["cpu"] or "CPU")


def _job_id() -> str | None:
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def freeze(folder: Path, config: Mapping) -> None:
    """Store the config that this run has from now on, in `config.yaml`.

    A later one must describe the same computation; where and how it runs (paths, tracking, runtime) may differ.

    Raises:
        UserError: the folder cannot be written, or holds another config under the same key.
    """
    path = folder / "config.yaml"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    config = {**config, "schema_version": config.get("schema_version", SCHEMA_VERSION)}
    stored = load_config(path) if path.exists() else None
    if stored == config:
        return
    if stored is not None and canonical_json(identity(stored)) != canonical_json(identity(config)):
        raise UserError(
            f"{path} holds another config under the same key (different: {', '.join(changed_keys(stored, config))})",
            "the config that the folder was made for",
            "sweep.name, or remove that folder",
        )
    # escaped, because PyYAML's own dumper writes some characters (U+0085) so that they are read as others
    write_atomic(path, yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=False))


def thaw(folder: Path) -> None:
    """Take a frozen config back, and the folder with it; one that an attempt has touched since stays."""
    if {path.name for path in folder.iterdir()} <= {"config.yaml"}:
        (folder / "config.yaml").unlink(missing_ok=True)
        with suppress(OSError):  # somebody wrote into it in this moment
            folder.rmdir()


def _store_environment(path: Path, config: Mapping, status: Mapping[str, Any], extra: Mapping[str, object]) -> None:
    """Add this attempt to the environment records, with the runtime settings, which may change between attempts."""
    attempts = (read_json(path) or {}).get("attempts", [])
    record = {"attempt": status["attempt"], "time": status["started"], "job_id": status["job_id"], **environment()}
    record |= {"runtime": config.get("runtime"), **extra}
    write_atomic(path, json.dumps({"attempts": [*attempts, record]}, indent=1, default=str) + "\n")
