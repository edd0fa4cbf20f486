"""The MLflow mirror: complete, free of duplicates, and never in the way of a run."""

import logging
import math
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from stores import CONFIG, NOWHERE, children, history, make_run

import rftlab
from rftlab.errors import UserError
from rftlab.runs import Run, run_folder, run_key
from rftlab.tracking.mirror import Destination, Mirror, prepare, sync
from rftlab.tracking.store import Store, absolute_uri, open_store

pytestmark = pytest.mark.usefixtures("quick_environment")


# Where it goes


def test_preparing_again_finds_what_was_prepared_and_leaves_the_default_experiment_empty(uri, tmp_path):
    first = prepare(uri, "sweep", tmp_path)
    assert prepare(uri, "sweep", tmp_path) == first
    (tmp_path / "sweep" / "tracking.json").unlink()
    assert prepare(uri, "sweep", tmp_path) == first
    assert prepare(uri, "other", tmp_path).experiment_id not in (first.experiment_id, "0")
    assert open_store(uri).client.search_runs(["0"]) == []


def test_a_deleted_parent_is_made_again_and_a_deleted_experiment_is_named(uri, tmp_path):
    first = prepare(uri, "sweep", tmp_path)
    client = open_store(uri).client
    client.delete_run(first.parent_run_id)
    second = prepare(uri, "sweep", tmp_path)
    assert (second.experiment_id, second.parent_run_id != first.parent_run_id) == (first.experiment_id, True)
    client.delete_experiment(first.experiment_id)
    with pytest.raises(UserError, match="deleted"):
        prepare(uri, "sweep", tmp_path)


def test_addresses_mean_the_same_from_every_folder_and_other_kinds_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute_uri("sqlite:///outputs/mlflow.db") == f"sqlite:///{tmp_path}/outputs/mlflow.db"
    assert absolute_uri("sqlite:////data/mlflow.db") == "sqlite:////data/mlflow.db"
    assert absolute_uri("https://host:5000") == "https://host:5000"
    for bad in ("mlruns", "file:///mlruns", "sqlite:///", ""):
        with pytest.raises(UserError, match=r"tracking\.uri"):
            absolute_uri(bad)


PREPARE = """
import sys
from pathlib import Path
from rftlab.tracking.mirror import prepare
print(prepare(sys.argv[1], "sweep", Path(sys.argv[2])))
"""


@pytest.mark.slow
def test_eight_processes_may_prepare_a_fresh_database_at_once(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(rftlab.__file__).parents[1])}
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    command = [sys.executable, "-W", "error", "-c", PREPARE, uri, str(tmp_path)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        for _ in range(8)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert len(set(outputs)) == 1, outputs
    assert "experiment_id='1'" in outputs[0]
    assert open_store(uri).client.search_runs(["0"]) == []


# What arrives


def test_a_run_arrives_whole_under_the_parent_of_its_sweep(uri, target, tmp_path):
    folder = make_run(tmp_path)
    report = sync([folder], target)
    assert (report.created, report.metrics, report.files, report.failed) == (1, 6, 4, {})
    (run,) = children(uri)
    destination = target("sweep")
    assert run.info.status == "FINISHED"
    assert run.info.experiment_id == destination.experiment_id
    assert history(uri, run.info.run_id, "reward/mean") == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert run.data.params == {
        "name": "a", "seed": "0", "scale": "mini", "data.source": "bundled", "algo.lr": "0.0001",
        "algo.betas": "[0.9, 1]", "schema_version": "3",
    }  # fmt: skip
    expected = {
        "run_key": run_key(CONFIG), "attempt": "1", "scale": "mini", "data_source": "bundled", "sweep": "sweep",
        "mlflow.parentRunId": destination.parent_run_id,
    }  # fmt: skip
    assert expected.items() <= run.data.tags.items()
    files = {file.path for file in open_store(uri).client.list_artifacts(run.info.run_id)}
    assert files == {"config.yaml", "env.json", "samples.jsonl", "DONE"}


def test_tags_name_what_was_loaded_and_not_the_options_that_were_chosen(uri, target, tmp_path):
    model = {"name": "gpt2", "policy": {"source": "/models/step 500", "init": "random"}}
    data = {"name": "imdb", "source": "hub", "loader": {"hub_id": "me/toy"}}
    reward, paths = {"source": "asset:sentiment"}, {"hub_mirror": "/data/hub"}
    config = CONFIG | {"model": model, "data": data, "reward": reward, "paths": paths}
    folder = run_folder(tmp_path, "sweep", "a", run_key(config))
    with Run.claim(folder, config) as run:
        sync([folder], target)  # before the model is loaded
        run.ready(1.0, "llama")
        run.finish({})
    sync([folder], target)
    tags = children(uri)[0].data.tags
    expected = {"model": "step_500-llama-random", "data": "imdb-toy", "data_source": "mirror"}
    assert expected.items() <= tags.items()
    assert "near chance" in tags["warning"]


def test_a_second_sync_adds_nothing(uri, target, tmp_path):
    folder = make_run(tmp_path)
    sync([folder], target)
    again = sync([folder], target)
    assert (again.created, again.metrics, again.files, again.failed) == (0, 0, 0, {})
    assert len(children(uri)) == 1


@pytest.mark.parametrize("crash_in", ["create_run", "send_params", "send_points"])
def test_a_crash_after_sending_and_before_noting_it_makes_no_duplicate(uri, target, tmp_path, monkeypatch, crash_in):
    folder = make_run(tmp_path, steps=5)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "time": 1.0, "metrics": {"reward/mean": "NaN"}}\n')
    with monkeypatch.context() as patch:
        owner = type(open_store(uri).client) if crash_in == "create_run" else Store
        original = getattr(owner, crash_in)

        def send_and_crash(self: Any, *arguments: Any, **named: Any) -> Any:
            result = original(self, *arguments, **named)
            if named.get("tags") == {"kind": "sweep"}:
                return result
            raise ConnectionError("cut off")

        patch.setattr(owner, crash_in, send_and_crash)
        assert "cut off" in sync([folder], target).failed[folder]
    assert sync([folder], target).failed == {}
    (run,) = children(uri)
    points = history(uri, run.info.run_id, "reward/mean")
    assert [step for step, _ in points] == [0, 1, 2, 3, 4, 9]
    assert math.isnan(points[-1][1])


def test_a_run_deleted_on_the_server_is_sent_again_as_a_new_one(uri, target, tmp_path):
    folder = make_run(tmp_path)
    sync([folder], target)
    open_store(uri).client.delete_run(children(uri)[0].info.run_id)
    report = sync([folder], target)
    assert (report.created, report.metrics) == (1, 6)
    (run,) = children(uri)
    assert len(history(uri, run.info.run_id, "reward/mean")) == 3


def test_another_database_gets_everything_and_the_first_keeps_its_place(uri, target, tmp_path, empty_database):
    folder = make_run(tmp_path)
    sync([folder], target)
    shutil.copy(empty_database, tmp_path / "second.db")
    second = f"sqlite:///{tmp_path}/second.db"
    assert sync([folder], lambda sweep: prepare(second, sweep, tmp_path)).metrics == 6
    assert sync([folder], target).metrics == 0
    assert len(children(uri)) == len(children(second)) == 1


def test_a_resumed_run_stays_one_run_and_tells_its_attempt_and_end(uri, target, tmp_path):
    folder = make_run(tmp_path, finish=False)
    sync([folder], target)
    (run,) = children(uri)
    assert (run.info.status, run.data.tags["attempt"]) == ("KILLED", "1")
    make_run(tmp_path, steps=1)
    assert sync([folder], target).metrics == 2
    (run,) = children(uri)
    assert (run.info.status, run.data.tags["attempt"]) == ("FINISHED", "2")


@pytest.mark.parametrize("number", [1, 1000, 1001])
def test_any_number_of_metrics_in_one_step_arrives(uri, target, tmp_path, number):
    folder = run_folder(tmp_path, "sweep", "a", run_key(CONFIG))
    with Run.claim(folder, CONFIG) as run:
        run.log(0, {f"m{index}": 1.0 for index in range(number)})
        run.log(1, {"last": 1.0})
    assert sync([folder], target).metrics == number + 1
    (found,) = children(uri)
    assert len(found.data.metrics) == number + 1


def test_many_long_and_oddly_named_params_and_non_finite_metrics_are_stored_readably(uri, target, tmp_path):
    config = {
        **CONFIG,
        "long": "x" * 7000,
        "none": None,
        "odd": {"a@b": 1, "..": 2},
        **{f"k{i}": i for i in range(200)},
    }
    folder = run_folder(tmp_path, "sweep", "a", run_key(config))
    with Run.claim(folder, config) as run:
        run.log(4, {"policy/kl": float("inf"), "down": float("-inf"), "not": float("nan"), "odd[0]": 1.0})
        run.finish({})
    assert sync([folder], target).failed == {}
    (found,) = children(uri)
    assert len(found.data.params["long"]) == 6000
    assert found.data.params["long"].endswith("...")
    assert (found.data.params["none"], found.data.params["odd.a_b"], found.data.params["k199"]) == ("null", "1", "199")
    assert found.data.metrics.keys() == {"not", "odd_0_"}  # no 1.797e308 that a chart would draw
    assert math.isnan(found.data.metrics["not"])
    assert found.data.tags["infinite.policy/kl"] == "inf at step 4"
    assert found.data.tags["infinite.down"] == "-inf at step 4"


def test_what_is_wrong_with_one_folder_or_sweep_does_not_hold_up_the_others(uri, target, tmp_path):
    good = make_run(tmp_path)
    broken = tmp_path / "sweep" / "b-000000000000"
    broken.mkdir()
    lost = tmp_path / "unreachable" / "c-000000000000"

    def destination_for(sweep: str) -> Destination:
        if sweep == "unreachable":
            raise ConnectionError("no server")
        return target(sweep)

    report = sync([lost, broken, good], destination_for)
    assert (report.runs, report.created) == (3, 1)
    assert report.failed.keys() == {lost, broken}


# While the run goes on


def test_metrics_arrive_while_the_run_goes_on_and_the_end_after_it(uri, target, tmp_path):
    folder = run_folder(tmp_path, "sweep", "a", run_key(CONFIG))
    with Run.claim(folder, CONFIG) as run:
        mirror = Mirror(0.05)
        mirror.begin(folder, partial(target, "sweep"))
        run.log(1, {"a": 1.0})
        until = time.monotonic() + 30
        while not (children(uri) and children(uri)[0].data.metrics) and time.monotonic() < until:
            time.sleep(0.05)
        assert children(uri)[0].info.status == "RUNNING"
        assert sync([folder], target).busy == [folder]
        run.log(2, {"a": 2.0})
        run.finish({"a": 2.0})
    assert mirror.close(30.0)
    (found,) = children(uri)
    assert found.info.status == "FINISHED"
    assert history(uri, found.info.run_id, "a") == [(1, 1.0), (2, 2.0)]
    assert sync([folder], target).metrics == 0


def test_the_end_of_a_failed_run_is_told(uri, target, tmp_path):
    folder = run_folder(tmp_path, "sweep", "a", run_key(CONFIG))
    with pytest.raises(ZeroDivisionError), Run.claim(folder, CONFIG):
        mirror = Mirror(5.0)
        mirror.begin(folder, partial(target, "sweep"))
        raise ZeroDivisionError
    assert mirror.close(30.0)
    assert children(uri)[0].info.status == "FAILED"


def test_without_a_server_the_run_neither_waits_nor_fails_and_sync_sends_all_later(
    uri, target, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = run_folder(tmp_path, "sweep", "a", run_key(CONFIG))
    times = []
    with caplog.at_level(logging.WARNING), Run.claim(folder, CONFIG) as run:
        mirror = Mirror(0.01)
        mirror.begin(folder, partial(prepare, NOWHERE, "sweep", tmp_path))
        for step in range(500):
            start = time.perf_counter()
            run.log(step, {"a": 1.0})
            times.append(time.perf_counter() - start)
            time.sleep(0.001)
        run.finish({})
    start = time.monotonic()
    assert not mirror.close(1.0)
    assert time.monotonic() - start < 2.0
    assert sorted(times)[len(times) // 2] < 1e-3
    messages = [record.getMessage() for record in caplog.records]
    assert len([message for message in messages if "sent later" in message]) == 1
    assert "sweep.py sync" in messages[-1]
    mirror._thread.join(30)
    assert sync([folder], target).metrics == 500
    assert len(children(uri)) == 1
