"""The end of a run: its record first, then what the record makes superfluous. A kill in between costs nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from config.test_config import plan

from rftlab import runs
from rftlab.build import training
from rftlab.files import read_lines
from rftlab.loops import checkpoint
from rftlab.stop import StopFlag

EPOCHS = 3
CONFIG = [
    "data=mnist", "algo=pretrain", f"algo.loop.epochs={EPOCHS}", "algo.loop.batch_size=32", "algo.loop.measure_every=1",
    "data.loader.n_train=64", "data.loader.n_test=20", "runtime.checkpoint_every=1", "runtime.threads=1",
    "runtime.device=cpu", "tracking=none", "eval.every=1",
]  # fmt: skip


class Killed(BaseException):
    """Stands for the death of a process."""


def die(*_: object) -> None:
    raise Killed


@pytest.fixture
def train(tmp_path: Path) -> Callable[[], dict[str, float]]:
    """Train the same small run, whenever it is called."""
    config = plan(*CONFIG, f"paths.outputs={tmp_path}").config
    return lambda: training.train(config, tmp_path / "run", StopFlag(), mirror=False)


def epochs_of(folder: Path, attempt: int) -> list[int]:
    """List the epochs that an attempt trained."""
    lines = read_lines(folder / "metrics.jsonl")
    return [line["step"] for line in lines if line["attempt"] == attempt and "grad/norm" in line["metrics"]]


def test_killed_before_done_is_written_a_run_resumes_from_its_newest_checkpoint(
    train: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(runs.Run, "finish", die)
        with pytest.raises(Killed):
            train()
    saved = checkpoint.latest(folder)
    assert saved is not None and saved[0] == EPOCHS - 1
    final = train()
    assert runs.finished(folder) == pytest.approx(final)
    assert epochs_of(folder, 2) == [EPOCHS]
    assert not (folder / "checkpoints").exists()


def test_killed_behind_done_a_run_is_done_and_only_its_checkpoints_go(
    train: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "remove_all", die)
        with pytest.raises(Killed):
            train()
    assert runs.read_run(folder).done and (folder / "checkpoints").exists()
    before = (folder / "metrics.jsonl").read_bytes()
    with pytest.raises(runs.RunIsDone):
        train()
    assert (folder / "metrics.jsonl").read_bytes() == before
    assert not (folder / "checkpoints").exists()
