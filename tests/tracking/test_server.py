"""`make tracking-server`: PostgreSQL and MLflow under load, over a restart, and with what users get wrong."""

import math
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from mirrored import NAMES, SWEEP, claim, logged, runs_of, stored, together
from servers import free_port, wait_until_healthy

from rftlab.errors import UserError
from rftlab.runs import Run, run_folder, run_key
from rftlab.tracking import server as command
from rftlab.tracking.mirror import prepare, sync
from rftlab.tracking.spool import load_position, save_position
from rftlab.tracking.store import open_store

ROOT = Path(__file__).parents[2]
RUNS = 32


class LabServer:
    """The command as a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start and return the line that tells the user the address."""
        arguments = ["--folder", str(self.folder), "--port", str(self.port), "--workers", "2"]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rftlab.tracking.server", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._process.stdout is not None
        line = next((line for line in self._process.stdout if line.startswith("tracking.uri=")), "")
        wait_until_healthy(self.uri, self._process, self.folder / "mlflow.log")
        return line

    def stop(self, signum: signal.Signals) -> int:
        """Stop it and return the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signum)
        self._process.communicate(timeout=60)
        return self._process.returncode


@pytest.fixture(scope="module")
def server() -> Iterator[LabServer]:
    try:
        command.find_programs()
    except UserError as error:
        pytest.skip(str(error))
    folder = Path(tempfile.mkdtemp(prefix="rftlab-server-"))  # PostgreSQL's user cannot enter the folders of pytest
    folder.chmod(0o755)
    server = LabServer(folder / "lab")
    try:
        assert f"tracking.uri={server.uri} " in server.start()
        yield server
    finally:
        server.stop(signal.SIGTERM)
        shutil.rmtree(folder)


def processes_of(folder: Path) -> list[str]:
    """Return the commands that run on a folder."""
    found = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in found if str(folder) in line]


# 32 runs that start together


def start_together(uri: str, outputs: Path) -> None:
    """Let processes that have already imported everything begin at one moment, on a store that nobody prepared."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mirrored", "mlflow", "mlflow.tracking"])
    barrier = context.Barrier(RUNS)
    processes = [context.Process(target=together, args=(barrier, uri, outputs, seed)) for seed in range(RUNS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
    assert [process.exitcode for process in processes] == [0] * RUNS


def key_of(folder: Path) -> str:
    return folder.name.rpartition("-")[2]


def check_all_arrived(uri: str, outputs: Path) -> None:
    assert open_store(uri).client.search_runs(["0"]) == []
    (parent,) = runs_of(uri, "sweep")
    runs = runs_of(uri, "run")
    assert len(runs) == RUNS
    assert {run.info.experiment_id for run in runs} == {parent.info.experiment_id}
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    folders = {key_of(folder): folder for folder in outputs.glob(f"{SWEEP}/a-*")}
    assert {run.data.tags["run_key"] for run in runs} == folders.keys()
    for run in runs[:4]:
        assert stored(uri, run) == logged(folders[run.data.tags["run_key"]])
    assert all(run.data.metrics.keys() == set(NAMES) for run in runs)
    again = sync(folders.values(), partial(prepare, uri, outputs=outputs))
    assert (again.created, again.metrics, again.files, again.failed) == (0, 0, 0, {})


@pytest.mark.slow
def test_32_runs_start_together_on_a_fresh_server(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    start_together(server.uri, tmp_path)
    check_all_arrived(server.uri, tmp_path)


@pytest.mark.slow
def test_32_runs_start_together_on_a_fresh_sqlite_file(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    start_together(uri, tmp_path)
    check_all_arrived(uri, tmp_path)


# One large run


def large_run(outputs: Path, steps: int) -> Path:
    config = {"name": "large", "text": "x" * 7000, **{f"k{index}": index for index in range(200)}}
    folder = run_folder(outputs, "large", "large", run_key(config))
    with Run.claim(folder, config) as run:
        for step in range(steps):
            run.log(step, {"reward": step / 10})
        run.log(steps, {"not": math.nan, "up": math.inf, "down": -math.inf})
        run.finish({})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("store", ["server", "sqlite"])
def test_a_large_run_is_stored_and_readable(request, tmp_path, store):
    uri = request.getfixturevalue("server").uri if store == "server" else f"sqlite:///{tmp_path}/mlflow.db"
    steps = 100_000
    folder = large_run(tmp_path, steps)
    target = partial(prepare, uri, outputs=tmp_path)
    target("large")
    start = time.monotonic()
    report = sync([folder], target)
    print(f"{store}: {steps} steps sent in {time.monotonic() - start:.1f} s")
    assert (report.failed, report.metrics) == ({}, steps + 3)
    (run,) = [run for run in runs_of(uri, "run") if run.data.tags["run_key"] == key_of(folder)]
    start = time.monotonic()
    points = stored(uri, run)
    print(f"{store}: read in {time.monotonic() - start:.1f} s")
    rows = [(step, value) for name, _, step, value in points if name == "reward"]
    assert sorted(rows) == [(step, step / 10) for step in range(steps)]
    assert run.data.metrics.keys() == {"reward", "not"}
    assert math.isnan(run.data.metrics["not"])
    assert (run.data.tags["infinite.up"], run.data.tags["infinite.down"]) == (
        f"inf at step {steps}",
        f"-inf at step {steps}",
    )
    assert len(run.data.params) == 203
    assert len(run.data.params["text"]) == 6000

    position = load_position(folder, uri)
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    position.offset -= sum(len(line) for line in lines[-500:])  # as after a crash between sending and noting it
    save_position(folder, uri, position)
    assert sync([folder], target).metrics == 499 + 3
    assert len(stored(uri, run)) == steps + 1


# The command


def send_run(uri: str, outputs: Path) -> Path:
    """Write a run and send it; returns its folder."""
    with claim(outputs, 99) as run:
        run.log(0, {"reward": 0.5})
        run.finish({})
    assert sync([run.folder], partial(prepare, uri, outputs=outputs)).failed == {}
    return run.folder


def check_still_there(uri: str, folder: Path) -> None:
    assert key_of(folder) in {found.data.tags["run_key"] for found in runs_of(uri, "run")}
    report = sync([folder], partial(prepare, uri, outputs=folder.parents[1]))
    assert (report.created, report.metrics, report.failed) == (0, 0, {})


@pytest.mark.slow
def test_data_survive_a_restart_and_nothing_goes_on_after_the_end(server, tmp_path):
    folder = send_run(server.uri, tmp_path)
    assert processes_of(server.folder)
    assert server.stop(signal.SIGINT) == 0
    assert processes_of(server.folder) == []
    server.start()
    check_still_there(server.uri, folder)


@pytest.mark.slow
def test_a_server_that_was_killed_is_cleared_away_by_the_next(server, tmp_path):
    folder = send_run(server.uri, tmp_path)
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    assert processes_of(server.folder)
    server.start()
    check_still_there(server.uri, folder)
    assert len([line for line in processes_of(server.folder) if "rftlab.tracking.server" in line]) == 1


@pytest.mark.slow
def test_one_folder_has_one_server(capsys, server):
    line = refused(capsys, "--folder", str(server.folder), "--port", str(free_port()))
    assert "already runs" in line and "DIR" in line


@pytest.mark.slow
@pytest.mark.parametrize("part", ["postgres", "mlflow"])
def test_the_end_of_one_part_ends_the_other(server, tmp_path, part):
    folder = send_run(server.uri, tmp_path)
    os.kill(int((server.folder / f"{part}.pid").read_text().split()[0]), signal.SIGKILL)
    until = time.monotonic() + 60
    while processes_of(server.folder) and time.monotonic() < until:
        time.sleep(0.2)
    assert processes_of(server.folder) == []
    assert server.stop(signal.SIGTERM) == command.ENDED_ITSELF
    server.start()
    check_still_there(server.uri, folder)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as ended:
            command.main(arguments)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "; expected " in line
    return line


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the check for PostgreSQL pass on machines without it."""
    monkeypatch.setattr(
        command, "find_programs", lambda: {"initdb": Path("/bin/false"), "postgres": Path("/bin/false")}
    )
    monkeypatch.setattr(command, "database_owner", lambda: None)


def test_missing_programs_are_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(command, "INSTALLED", tmp_path)
    assert "apt-get install postgresql" in refused(capsys, "--folder", str(tmp_path / "lab"))


def test_a_missing_driver_is_named(capsys, monkeypatch, tmp_path, programs):
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    assert "rftlab[server]" in refused(capsys, "--folder", str(tmp_path / "lab"))
    assert not (tmp_path / "lab").exists()


def test_a_port_in_use_is_named(capsys, tmp_path, programs):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port}" in refused(capsys, "--folder", str(tmp_path / "lab"), "--port", port)


def test_a_database_that_cannot_be_made_leaves_nothing_half_made(capsys, tmp_path, programs):
    line = refused(capsys, "--folder", str(tmp_path / "lab"), "--port", str(free_port()))
    assert "initdb did not start" in line
    assert not (tmp_path / "lab" / "database").exists()


def test_a_server_for_the_network_lets_in_its_own_name_and_private_addresses():
    names = command.allowed_names("lab", 5000).split(",")
    assert {"lab", "lab:5000", "10.*", "172.31.*", "localhost:*"} <= set(names)
    assert "*" not in names


@pytest.mark.parametrize("note", ["", "1", "PID 0 another-boot", "PID 0 BOOT"])
def test_a_note_that_names_no_leftover_kills_nobody(tmp_path, note):
    (tmp_path / "mlflow.pid").write_text(note.replace("PID", str(os.getpid())).replace("BOOT", command._boot()))
    command._end_leftovers(tmp_path)
    assert not (tmp_path / "mlflow.pid").exists()
