"""A store for each test, made from one empty database."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from rftlab.runs import attempt
from rftlab.tracking.mirror import Destination, prepare
from rftlab.tracking.store import open_store


@pytest.fixture(scope="session")
def empty_database(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a database with all tables once for all sessions that share a cache: it takes several seconds."""
    cache = getattr(pytestconfig, "cache", None)  # absent under `-p no:cacheprovider`
    folder = tmp_path_factory.mktemp("mlflow") if cache is None else cache.mkdir("mlflow")
    path = folder / f"{mlflow.__version__}.db"
    if not path.exists():
        aside = path.with_suffix(f".{os.getpid()}")
        open_store(f"sqlite:///{aside}").client.search_experiments()
        aside.replace(path)
    return path


@pytest.fixture
def quick_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare every claim its calls of git; test_environment.py has the real record."""
    monkeypatch.setattr(attempt, "environment", lambda: {"git_sha": "0" * 40})


@pytest.fixture
def uri(empty_database: Path, tmp_path: Path) -> str:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def target(uri: str, tmp_path: Path) -> Callable[[str], Destination]:
    return lambda sweep: prepare(uri, sweep, tmp_path)
