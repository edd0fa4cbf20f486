"""`make dashboard`: links to the answer of every sweep, and words for what cannot be shown."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import free_port
from stores import NOWHERE
from sweeps.finished import grid, job_of

import rftlab
from rftlab import runs
from rftlab.files import read_json
from rftlab.tracking import dashboard
from rftlab.tracking.store import open_store, prepare

pytestmark = pytest.mark.usefixtures("quick_environment")


@pytest.fixture
def tracked(uri: str, tmp_path: Path) -> str:
    """Finish two sweeps that were sent, and one that was not."""
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    (tmp_path / "sweep").rename(tmp_path / "old")
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    (tmp_path / "sweep").rename(tmp_path / "untracked")
    job = job_of(tmp_path, 0)
    runs.freeze(job.folder, job.config)
    os.utime(tmp_path / "old", (1, 1))
    for sweep in ("old", "sweep"):
        prepare(uri, sweep, tmp_path)
    return uri


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        dashboard.main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_every_sweep_that_was_tracked_has_its_links_the_newest_last(tracked, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(dashboard, "_server", lambda uri: uri)  # no server is asked before links are printed
    dashboard.main(["--uri", tracked, "--outputs", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line in ("old", "sweep", "untracked")] == ["old", "sweep"]
    assert any(line.startswith("Best: optimizer.lr=0.0005") for line in lines)
    assert any(line.startswith("Nothing to compare yet") for line in lines)
    client = open_store(tracked).client
    for sweep in ("old", "sweep"):
        experiment = client.get_experiment_by_name(sweep)
        links = [line for line in lines if f"/#/experiments/{experiment.experiment_id}/runs" in line]
        assert [mode in links[place] for place, mode in enumerate(("Mode=CHART", "Mode=TABLE"))] == [True, True]
        view = links[0].rpartition("viewStateShareKey=")[2]
        assert f"mlflow.sharedViewState.{view}" in experiment.tags
        parent = (read_json(tmp_path / sweep / "tracking.json") or {})[tracked]["parent_run_id"]
        assert f"/runs/{parent}" in links[2]


def test_a_sweep_that_cannot_be_compared_is_one_line_and_the_others_are_shown(tracked, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(dashboard, "_server", lambda uri: uri)
    whole = dashboard.answer_of

    def answer_of(outputs, sweep):
        if sweep == "old":
            raise ValueError("torn\nfile")
        return whole(outputs, sweep)

    monkeypatch.setattr(dashboard, "answer_of", answer_of)
    dashboard.main(["--uri", tracked, "--outputs", str(tmp_path)])
    out = capsys.readouterr().out
    assert "old is shown as it was: ValueError: torn" in out and "\nsweep\n" in out


def test_bad_input_is_told_in_three_parts(tracked, tmp_path, capsys):
    empty = tmp_path / "empty"
    assert refused(capsys, "--outputs", str(empty)) == (
        f"error: no {empty}/mlflow.db; expected outputs of runs with tracking; change OUTPUTS, or run something first\n"
    )
    told = refused(capsys, "--outputs", str(tmp_path), "--sweep", "nothing", "--port", str(free_port()))
    assert "--sweep nothing; expected" in told and "(old, sweep)" in told and "change --sweep" in told
    assert "--uri sqlite:///x" in refused(capsys, "--uri", "sqlite:///x")
    assert "does not answer" in refused(capsys, "--uri", NOWHERE)
    assert "a free port" in refused(capsys, "--outputs", str(tmp_path), "--port", "99999")


def test_a_browser_is_opened_only_where_a_window_can(monkeypatch):
    monkeypatch.setattr(dashboard.sys, "platform", "linux")
    assert not dashboard._has_browser({"PATH": "/bin"}) and dashboard._has_browser({"DISPLAY": ":0"})


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """Take back the handlers of a command that ran in this process."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP])
def test_it_serves_until_it_is_ended_and_leaves_no_server_behind(tracked, tmp_path, signum):
    port = free_port()
    command = [sys.executable, "-m", "rftlab.tracking.dashboard", "--outputs", str(tmp_path), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(Path(rftlab.__file__).parents[1]), "DISPLAY": ""}
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment,
            preexec_fn=lambda: signal.signal(signum, signal.SIG_DFL),  # which `nohup` would have the child ignore
        )  # fmt: skip
    try:
        until = time.monotonic() + 300
        while "comparison" not in (text := (tmp_path / "out").read_text()) and time.monotonic() < until:
            assert process.poll() is None, text
            time.sleep(0.5)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
            assert page.status == 200
        process.send_signal(signum)
        assert process.wait(60) == 0
    finally:
        process.kill()
    dashboard.require_free("127.0.0.1", port)
    assert "stopped" in (tmp_path / "out").read_text()
