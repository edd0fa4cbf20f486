"""Addresses of databases: any path is one, and the file lies exactly there."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import make_url

from rftlab.errors import UserError
from rftlab.launch import clusters
from rftlab.tracking import store
from rftlab.tracking.store import absolute_uri, prepare, sqlite_path

NAMES = ["plain", "with space", "a#b", "ü", "a+b", "a&b=c", "a;b"]


@pytest.mark.parametrize("name", NAMES)
def test_sqlalchemy_reads_the_path_that_was_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name / "mlflow.db"
    for given in (f"sqlite:///{path}", f"sqlite:///{name}/mlflow.db"):
        uri = absolute_uri(given)
        assert make_url(uri).database == str(path) and not make_url(uri).query
        assert sqlite_path(uri) == path


def test_runs_arrive_in_a_database_whose_path_means_something_in_an_address(
    empty_database: Path, tmp_path: Path
) -> None:
    outputs = tmp_path / "a b=c #d&é"
    outputs.mkdir()
    shutil.copy(empty_database, outputs / "mlflow.db")
    made = prepare(f"sqlite:///{outputs}/mlflow.db", "sweep", outputs)
    assert [path.name for path in tmp_path.iterdir()] == [outputs.name]
    with closing(sqlite3.connect(outputs / "mlflow.db")) as database:
        assert database.execute("SELECT run_uuid FROM runs").fetchall() == [(made.parent_run_id,)]
        ((artifacts,),) = database.execute("SELECT artifact_uri FROM runs").fetchall()
    assert "#" not in artifacts and " " not in artifacts
    assert prepare(f"sqlite:///{outputs}/mlflow.db", "sweep", outputs) == made


def test_a_new_database_has_the_mode_that_the_umask_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(uri: str) -> SimpleNamespace:
        with closing(sqlite3.connect(sqlite_path(uri) or "")) as database:
            database.execute("CREATE TABLE t (x)")
        return SimpleNamespace(client=SimpleNamespace(search_experiments=lambda max_results: []))

    monkeypatch.setattr(store, "open_store", connect)
    before = os.umask(0o002)
    try:
        store._create_sqlite(f"sqlite:///{tmp_path}/mlflow.db")
    finally:
        os.umask(before)
    assert (tmp_path / "mlflow.db").stat().st_mode & 0o777 == 0o664


def test_the_warning_about_shared_disks_asks_for_the_path_that_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(clusters, "shared_file_system", asked.append)
    for uri in (f"sqlite:///{tmp_path}/a b/mlflow.db", "http://host:5000", None):
        clusters.warn_about_database(uri)
    assert asked == [tmp_path / "a b" / "mlflow.db"]


@pytest.mark.parametrize("name", ["a?b", "100%", "a%41"])
def test_signs_that_mean_something_in_an_address_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    for uri in (f"sqlite:///{tmp_path}/{name}/mlflow.db", f"sqlite:///{tmp_path}/{name}"):
        with pytest.raises(UserError, match=r"change paths\.outputs or tracking\.uri"):
            absolute_uri(uri)
