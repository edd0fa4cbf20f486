"""A sweep from its jobs to its summary, with a launcher that only writes down what it is given."""

import errno
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from rich.console import Console
from sweeps.jobs import finish, make_job

from rftlab import files, runs
from rftlab.errors import UserError
from rftlab.launch import clusters, sweep_end
from rftlab.launch.whole_sweep import Sweep, run_sweep
from rftlab.sweeps import comparison
from rftlab.sweeps.job import Job
from rftlab.sweeps.slurm import scheduler


class Noting:
    """A launcher for which every job is done at once."""

    follows, gpus = False, 0

    def __init__(self) -> None:
        self.ran: list[str] = []

    def begin(self) -> None: ...

    def settings(self) -> Mapping[str, Any]:
        return {}

    def queued(self, outputs: Path) -> Mapping[str, str]:
        return {}

    def run(self, jobs: Sequence[Job], queued: Mapping[str, str], console: Console) -> Mapping[str, str]:
        self.ran += [job.name for job in jobs]
        for job in jobs:
            finish(job)
        return {job.key: "done" for job in jobs}


def launch(outputs: Path, jobs: Sequence[Job], launcher: Noting, *, page: bool = False) -> tuple[int, str]:
    console = Console(width=300, file=io.StringIO(), record=True)
    sweep = Sweep(name="sweep", outputs=outputs, dry_run=False, page=page, config="seed: 0\n")
    code = run_sweep(sweep, jobs, launcher, console)
    return code, console.export_text()


def test_runs_of_another_command_are_named_and_not_waited_for(tmp_path: Path) -> None:
    mine, theirs = make_job(tmp_path, "mine"), make_job(tmp_path, "theirs")
    launcher = Noting()
    with runs.Run.claim(theirs.folder, theirs.config) as run:
        code, said = launch(tmp_path, [mine, theirs], launcher)
        assert (code, launcher.ran) == (0, ["mine"])
        assert f"1 run is under way by another command, for which this one does not wait ({theirs.key})" in said
        assert f"src/sweep.py status --outputs {tmp_path} --sweep sweep" in said
        code, said = launch(tmp_path, [mine, theirs], launcher)  # nothing is left for this one to do
        assert (code, launcher.ran) == (0, ["mine"]) and "does not wait" in said
        run.finish({})
    assert "does not wait" not in launch(tmp_path, [mine, theirs], launcher)[1]


def test_a_disk_that_fills_up_after_the_start_changes_nothing_of_what_a_sweep_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notes of a launch are there before its jobs; once these run, it has nothing of its own to write."""
    job = make_job(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    class Filling(Noting):
        def run(self, *given: Any) -> Mapping[str, str]:
            states = super().run(*given)
            monkeypatch.setattr(files, "replacing", full)
            monkeypatch.setattr(OmegaConf, "save", full)
            return states

    assert launch(tmp_path, [job], Filling())[0] == 0
    assert (tmp_path / "sweep" / "multirun.yaml").read_text() == "seed: 0\n"


def test_a_cluster_that_does_not_answer_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "available", lambda: True)
    monkeypatch.setattr(scheduler, "silence", lambda: "the controller (slurmctld) does not answer")
    with pytest.raises(UserError, match="no cluster that answers: the controller"):
        clusters.require_slurm()
    monkeypatch.setattr(scheduler, "silence", lambda: None)
    clusters.require_slurm()


@pytest.mark.parametrize(("page", "written"), [(True, 1), (False, 0)])
def test_the_end_of_a_sweep_writes_its_page_once_where_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: bool, written: int
) -> None:
    asked: list[str] = []

    def write(outputs: Path, sweep: str, console: Console) -> None:
        asked.append(sweep)
        (outputs / sweep / "index.html").touch()

    monkeypatch.setattr(sweep_end, "_write_page", write)
    job, launcher = make_job(tmp_path), Noting()
    for _ in range(2):  # the second time nothing is left to do, and the page says so already
        launch(tmp_path, [job], launcher, page=page)
    assert len(asked) == written


def test_what_breaks_at_the_end_of_a_sweep_leaves_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("edited")

    class Failing(Noting):
        def run(self, jobs: Sequence[Job], *given: Any) -> Mapping[str, str]:
            return dict.fromkeys(super().run(jobs, *given), "failed")

    monkeypatch.setattr(comparison, "compare", fail)
    code, said = launch(tmp_path, [make_job(tmp_path)], Failing())
    assert code == 1 and "sweep: 1 failed" in said and "not compared: ZeroDivisionError: edited" in said
