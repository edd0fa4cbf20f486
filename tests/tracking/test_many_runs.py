"""One mirror for the runs of a sweep, which come and go."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from stores import CONFIG, NOWHERE, children, make_run

import rftlab
from rftlab.files import FileLock
from rftlab.runs import Run, run_folder, run_key
from rftlab.tracking import mirror as tracking
from rftlab.tracking.mirror import Destination, Mirror, destination_of, mirroring, prepare, sync
from rftlab.tracking.store import open_store

pytestmark = pytest.mark.usefixtures("quick_environment")


def until(holds: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def seeds(number: int) -> list[dict[str, Any]]:
    return [{**CONFIG, "seed": seed} for seed in range(number)]


def by_seed(uri: str) -> dict[str, Any]:
    return {run.data.params["seed"]: run for run in children(uri) if "seed" in run.data.params}


def test_one_mirror_sends_the_runs_of_a_sweep_while_they_come_and_go(uri, target, tmp_path):
    mirror = Mirror(0.05)
    first, second, third = (run_folder(tmp_path, "sweep", "a", run_key(config)) for config in seeds(3))
    for folder in (first, second, third):
        mirror.begin(folder, partial(target, "sweep"))  # the third one never starts
    make_run(tmp_path, config=seeds(3)[0])
    mirror.end(first)
    with Run.claim(second, seeds(3)[1]) as run:
        run.log(1, {"a": 1.0})
        until(lambda: by_seed(uri).keys() == {"0", "1"} and by_seed(uri)["0"].info.status == "FINISHED")
        assert by_seed(uri)["1"].info.status == "RUNNING"
        assert sync([first, second], target).busy == [second]  # a run that has ended is left to others
        run.finish({"a": 1.0})
    mirror.end(second)
    assert mirror.close(30.0)  # of the third there is nothing to send
    assert {run.info.status for run in children(uri)} == {"FINISHED"} and len(children(uri)) == 2
    assert sync([first, second], target).metrics == 0


def test_a_run_that_sync_is_busy_with_as_it_ends_is_sent_to_its_end(uri, target, tmp_path):
    folder = make_run(tmp_path)
    by_sync = FileLock(folder / ".tracking.lock")
    assert by_sync.take(0.0)
    mirror = Mirror(0.05)
    mirror.begin(folder, partial(target, "sweep"))
    mirror.end(folder)
    time.sleep(1.3)  # rounds that meet the lock
    assert not children(uri)
    by_sync.release()
    assert mirror.close(30.0)
    assert children(uri)[0].info.status == "FINISHED"


def test_a_run_whose_process_was_killed_is_not_left_running(uri, target, tmp_path):
    folder = run_folder(tmp_path, "sweep", "a", run_key(CONFIG))
    code = (
        "import json, os, signal, sys; from pathlib import Path; from rftlab.runs import Run\n"
        "run = Run.claim(Path(sys.argv[1]), json.loads(sys.argv[2])); run.log(1, {'a': 1.0})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(rftlab.__file__).parents[1])}
    mirror = Mirror(0.05)
    mirror.begin(folder, partial(target, "sweep"))
    killed = subprocess.run([sys.executable, "-c", code, str(folder), json.dumps(CONFIG)], env=environment)
    assert killed.returncode < 0
    mirror.end(folder)
    assert mirror.close(30.0)
    (run,) = children(uri)
    assert (run.info.status, run.data.metrics) == ("KILLED", {"a": 1.0})


def test_a_run_that_cannot_be_sent_does_not_hold_up_the_others(uri, target, tmp_path, caplog):
    broken = run_folder(tmp_path, "sweep", "a", run_key(seeds(2)[0]))
    with Run.claim(broken, seeds(2)[0]) as run:
        run.finish({})
    (broken / "config.yaml").write_text("no config")
    good = make_run(tmp_path, config=seeds(2)[1])
    mirror = Mirror(0.05)
    with caplog.at_level(logging.WARNING):
        for folder in (broken, good):
            mirror.begin(folder, partial(target, "sweep"))
            mirror.end(folder)
        until(lambda: children(uri) and children(uri)[0].info.status == "FINISHED")
        assert not mirror.close(30.0)
    messages = [record.getMessage() for record in caplog.records]
    assert "config" in messages[0] and broken.name in messages[-1] and good.name not in messages[-1]


def test_while_nobody_answers_one_run_is_tried_a_round_and_none_is_lost(uri, target, tmp_path, monkeypatch):
    folders = [make_run(tmp_path, config=config) for config in seeds(4)]
    asked = []

    def destination(folder: Path) -> Destination:
        asked.append(folder)
        return prepare(NOWHERE if len(asked) < 8 else uri, "sweep", tmp_path)

    mirror = Mirror(0.01)
    monkeypatch.setattr(mirror, "_pause_s", lambda: 0.01)
    rounds = []
    original = mirror._round
    monkeypatch.setattr(mirror, "_round", lambda last: (rounds.append(len(asked)), original(last)))
    for folder in folders:
        mirror.begin(folder, partial(destination, folder))
        mirror.end(folder)
    until(lambda: len(children(uri)) == 4)
    assert mirror.close(30.0)
    assert set(range(8)) <= set(rounds)  # seven tries without an answer, one a round
    assert set(asked[:4]) == set(folders)  # each in its turn
    assert {run.info.status for run in children(uri)} == {"FINISHED"}


def config_of(uri: str | None, outputs: Path) -> dict[str, Any]:
    tracking = {"uri": uri, "send_every_s": 0.05, "close_timeout_s": 30.0}
    return {**CONFIG, "paths": {"outputs": str(outputs)}, "sweep": {"name": "sweep"}, "tracking": tracking}


def test_the_place_of_a_sweep_is_made_ahead_of_its_runs_and_once(uri, tmp_path):
    config = config_of(uri, tmp_path)
    with mirroring(config, ahead=True) as mirror:
        until((tmp_path / "sweep" / "tracking.json").exists)
        folder = make_run(tmp_path)
        mirror.begin(folder, destination_of(config))
    client = open_store(uri).client
    assert [e.name for e in client.search_experiments()] == ["sweep", "Default"]
    (parent,) = client.search_runs(["1"], "tags.kind = 'sweep'")
    (run,) = children(uri)
    assert (run.info.status, run.data.tags["mlflow.parentRunId"]) == ("FINISHED", parent.info.run_id)


def test_without_an_address_nothing_is_sent_and_nobody_waits(tmp_path):
    config = config_of(None, tmp_path)
    began = time.monotonic()
    with mirroring(config, ahead=True) as mirror:
        folder = make_run(tmp_path)
        mirror.begin(folder, destination_of(config))
        mirror.end(folder)
    assert time.monotonic() - began < 1.0
    assert not (folder / "tracking.json").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_end_before_any_run_does_not_wait_for_a_slow_server(tmp_path, monkeypatch, error):
    monkeypatch.setattr(tracking, "prepare", lambda *place: time.sleep(5))
    began = time.monotonic()
    with pytest.raises(error), mirroring(config_of("http://127.0.0.1:9", tmp_path), ahead=True):
        raise error
    assert time.monotonic() - began < 1.0


def test_a_server_that_cannot_be_prepared_is_told_once_and_the_runs_go_on(tmp_path, caplog):
    config = config_of(NOWHERE, tmp_path)
    config["tracking"]["close_timeout_s"] = 5.0
    with caplog.at_level(logging.WARNING), mirroring(config, ahead=True) as mirror:
        folder = make_run(tmp_path)
        mirror.begin(folder, destination_of(config))
        mirror.end(folder)
    told = [record.getMessage() for record in caplog.records if record.name == "rftlab.tracking.mirror"]
    assert len(told) == 2 and "sent later" in told[0] and "sweep.py sync" in told[1]
