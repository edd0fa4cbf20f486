"""The MLflow client, the one place that imports it: a database, an experiment and a parent run for each sweep.

Nothing here uses the client's global state (active run, current experiment), which processes and threads would share.
"""

import json
import logging
import os
import re
import sqlite3
import sys
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rftlab.errors import UserError
from rftlab.files import FileLock, read_json, write_atomic
from rftlab.tracking.spool import MAX_METRICS, STATE_FILE, Point

MAX_PARAMS = 100  # of one request, a limit of the server; the same holds for tags
SQLITE = "sqlite:///"
PREPARE_WAIT_S = 300.0  # creating the tables of a fresh database takes seconds; others wait for it
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # a `create_run` whose answer was lost would make a second run
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where the runs of one sweep go."""

    uri: str
    experiment_id: str
    parent_run_id: str


def prepare(uri: str, experiment: str, outputs: Path) -> Destination:
    """Make the database, the experiment and the parent run of a sweep once; later calls look them up.

    Any number of processes may call it at the same time. `outputs/<experiment>/tracking.json` notes what was made.

    Raises:
        UserError: no such kind of address, or the experiment was deleted on the server.
    """
    uri = absolute_uri(uri)
    note = outputs.resolve() / experiment / STATE_FILE
    note.parent.mkdir(parents=True, exist_ok=True)
    if (destination := _noted(note, uri)) is not None:  # without the lock: a slow server is asked by all at once
        return destination
    with _prepare_lock(uri, outputs):
        if (destination := _noted(note, uri)) is not None:
            return destination
        _create_sqlite(uri)
        store = open_store(uri)
        is_server = uri.startswith("http")
        experiment_id = store.experiment(experiment, None if is_server else note.parent / "mlflow-artifacts")
        parent_run_id = store.parent_run(experiment_id, experiment)
        ids = {"experiment_id": experiment_id, "parent_run_id": parent_run_id}
        write_atomic(note, json.dumps({**(read_json(note) or {}), store_name(uri): ids}, indent=1) + "\n")
    return Destination(uri=uri, **ids)


def absolute_uri(uri: str) -> str:
    """Return the address with an absolute SQLite path, so that it means the same from every working directory.

    Raises:
        UserError: No such kind of address, or a path with signs that mean something in an address; MLflow itself would
            take such a path for two different ones.
    """
    if uri.startswith(SQLITE) and len(uri) > len(SQLITE):
        path = Path(uri.removeprefix(SQLITE)).absolute()
        if found := set("?%") & set(str(path)):
            expected = f"a path without {' and '.join(sorted(found))}, or tracking=none"
            raise UserError(f"tracking.uri={uri}", expected, "paths.outputs or tracking.uri")
        return f"{SQLITE}{path}"
    if re.match(r"(https?|postgresql|mysql|mssql)(\+\w+)?://.", uri):
        return uri
    raise UserError(
        f"tracking.uri={uri!r}", "sqlite:///PATH, http(s)://HOST:PORT, postgresql://..., or null", "tracking.uri"
    )


def store_name(uri: str) -> str:
    """Return the address (or a text that holds one) without credentials, as it is noted in files and messages."""
    return re.sub(r"://[^/@]+@", "://", uri)


@contextmanager
def _prepare_lock(uri: str, outputs: Path) -> Generator[None, None, None]:
    """Let one process at a time prepare a store; a shared database has one lock for all that use it."""
    database = sqlite_path(uri)
    path = outputs.resolve() / ".tracking.lock" if database is None else database.with_name(f".{database.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    if not lock.take(PREPARE_WAIT_S):
        raise UserError(f"{path} is held for {PREPARE_WAIT_S:.0f} s", "it free", "nothing; try again later")
    try:
        yield
    finally:
        lock.release()


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an absolute SQLite address, None for an address of another kind."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def _noted(note: Path, uri: str) -> Destination | None:
    """Return the destination that a note names, where the store still has it."""
    known = (read_json(note) or {}).get(store_name(uri))
    if not isinstance(known, dict):
        return None
    destination = Destination(uri=uri, **known)
    return destination if _exists(destination) else None


def _exists(destination: Destination) -> bool:
    """Look up the parent run; SQLite is asked directly, which spares the client's import."""
    path = sqlite_path(destination.uri)
    if path is None:
        return open_store(destination.uri).is_active(destination.parent_run_id)
    if not path.exists():
        return False
    query = "SELECT 1 FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'"
    with closing(sqlite3.connect(path, timeout=20)) as database:
        return database.execute(query, (destination.parent_run_id,)).fetchone() is not None


def _create_sqlite(uri: str) -> None:
    """Create the tables in a file aside, so that no process ever meets half a schema."""
    path = sqlite_path(uri)
    if path is None or path.exists():
        return
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)  # left by a process that was killed here
    aside.touch()  # with the permissions that the umask gives; SQLite would leave out the group
    open_store(f"{SQLITE}{aside}").client.search_experiments(max_results=1)
    aside.replace(path)


class Store:
    """A client of one address, with requests cut to the sizes that servers take."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def experiment(self, name: str, artifacts: Path | None) -> str:
        """Return the id of the experiment, created where there is none; `artifacts` None leaves files to the server."""
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return self.client.create_experiment(name, None if artifacts is None else artifacts.as_uri())
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self.client.get_experiment_by_name(name)  # another machine was faster
        if found.lifecycle_stage != "active":
            raise UserError(
                f"the experiment {name!r} was deleted in the tracking store",
                "one that is active",
                "sweep.name, or restore the experiment",
            )
        return found.experiment_id

    def parent_run(self, experiment_id: str, name: str) -> str:
        """Return the id of the run that holds the runs of a sweep together."""
        run_id = self.find_run(experiment_id, "tags.kind = 'sweep'")
        if run_id is None:
            run_id = self.client.create_run(
                experiment_id, tags={"kind": "sweep"}, run_name=parent_name(name)
            ).info.run_id
            self.client.set_terminated(run_id)
        return run_id

    def find_run(self, experiment_id: str, query: str) -> str | None:
        found = self.client.search_runs([experiment_id], query, max_results=1)
        return found[0].info.run_id if found else None

    def is_active(self, run_id: str) -> bool:
        """Say whether a run exists and is not deleted."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def send_params(self, run_id: str, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        for batch in _batches(list(params.items()), MAX_PARAMS):
            self.client.log_batch(run_id, params=[Param(*item) for item in batch])

    def send_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for batch in _batches(list(tags.items()), MAX_PARAMS):
            self.client.log_batch(run_id, tags=[RunTag(*item) for item in batch])

    def send_points(self, run_id: str, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        for batch in _batches(points, MAX_METRICS):
            metrics = [Metric(point.name, point.value, point.time_ms, point.step) for point in batch]
            self.client.log_batch(run_id, metrics=metrics)


def parent_name(sweep: str) -> str:
    """Name the run that holds the runs of a sweep together, and their comparison."""
    return f"{sweep}: comparison"


def open_store(uri: str) -> Store:
    """Import the client (about a second) and connect it to an absolute address."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", message="The ``noload`` loader strategy is deprecated")
    warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType")  # of MLflow's own classes
    from mlflow import MlflowClient

    retries = logging.getLogger("urllib3.connectionpool")
    if _not_a_tracking_retry not in retries.filters:
        retries.addFilter(_not_a_tracking_retry)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return Store(MlflowClient(tracking_uri=uri))


def may_pass(error: Exception) -> bool:
    """Say whether the same request may succeed a little later: no answer, an error of the server, a busy database."""
    # where the client is not loaded, or just being loaded, the error is not its own
    kind = getattr(sys.modules.get("mlflow.exceptions"), "MlflowException", ())
    return isinstance(error, kind) and error.error_code in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")


def _not_a_tracking_retry(record: logging.LogRecord) -> bool:
    """Leave out the messages about single tries to reach a tracking server; the mirror reports an outage once."""
    return "/mlflow/" not in record.getMessage()


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
