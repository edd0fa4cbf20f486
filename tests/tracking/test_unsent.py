"""The same command sends what an earlier one, killed or without a server, left unsent of runs that it finished."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from stores import CONFIG, NOWHERE, children, history, make_run

from rftlab.files import read_json
from rftlab.launch import unsent
from rftlab.launch.whole_sweep import Sweep, run_sweep
from rftlab.runs import run_folder, run_key
from rftlab.sweeps.job import Job
from rftlab.tracking.mirror import mirroring, sync

pytestmark = pytest.mark.usefixtures("quick_environment")


def done(outputs: Path, uri: str | None, seed: int = 0, sweep: str = "sweep") -> Job:
    """Make a finished run that was to be sent to `uri`, of which nothing was sent."""
    tracking = {"uri": uri, "send_every_s": 0.05, "close_timeout_s": 30.0}
    config = {**CONFIG, "seed": seed, "paths": {"outputs": str(outputs)}, "sweep": {"name": sweep}} | {
        "algo": {"name": "ppo", "loop": {"iterations": 3}}, "tracking": tracking,
        "data": {"name": "imdb", "source": "bundled"}, "model": {"name": "gpt2_mini"},
    }  # fmt: skip
    make_run(outputs, config=config)
    key = run_key(config)
    return Job(config=config, key=key, folder=run_folder(outputs, sweep, "a", key), parents=())


def command_again(outputs: Path, *jobs: Job) -> int:
    launcher: Any = SimpleNamespace(begin=lambda: None, queued=lambda outputs: {}, follows=False, gpus=0)
    sweep = Sweep(name="sweep", outputs=outputs, dry_run=False, page=False, config="")
    return run_sweep(sweep, jobs, launcher, Console(file=io.StringIO()))


def to_address(job: Job, uri: str | None) -> Job:
    """Ask for the same run with another address."""
    config = {**job.config, "tracking": {**job.config["tracking"], "uri": uri}}
    return Job(config=config, key=job.key, folder=job.folder, parents=())


def test_runs_whose_launching_process_was_killed_before_it_sent_their_ends_are_sent_once(
    uri, target, tmp_path, monkeypatch
):
    begun, unknown = done(tmp_path, uri), done(tmp_path, uri, seed=1)
    (begun.folder / "DONE").rename(tmp_path / "DONE")  # the server hears of it while it runs
    sync([begun.folder], target)
    (tmp_path / "DONE").rename(begun.folder / "DONE")
    assert [run.info.status for run in children(uri)] != ["FINISHED"]
    assert command_again(tmp_path, begun, unknown) == 0
    assert [run.info.status for run in children(uri)] == ["FINISHED"] * 2
    assert [history(uri, run.info.run_id, "reward/mean") for run in children(uri)] == [
        [(0, 0.0), (1, 0.1), (2, 0.2)]
    ] * 2
    monkeypatch.setattr(unsent, "mirroring", lambda *_: pytest.fail("there is nothing left to send"))
    assert command_again(tmp_path, begun, unknown) == 0


def test_a_run_that_was_not_to_be_sent_there_is_left_to_sync(uri, tmp_path, monkeypatch):
    untracked, tracked, elsewhere = done(tmp_path, None), done(tmp_path, uri, 1), done(tmp_path, uri, 2)
    (tmp_path / "other").mkdir()
    elsewhere.folder.rename(tmp_path / "other" / elsewhere.folder.name)
    monkeypatch.setattr(unsent, "mirroring", lambda *_: pytest.fail("it was not asked for"))
    jobs = [to_address(untracked, uri), to_address(tracked, None), elsewhere]
    assert command_again(tmp_path, *jobs) == 0
    assert command_again(tmp_path, to_address(tracked, NOWHERE)) == 0


def test_a_server_that_is_still_away_changes_nothing_of_how_the_command_ends(tmp_path, monkeypatch):
    job = done(tmp_path, NOWHERE)
    asked = []
    monkeypatch.setattr(unsent, "mirroring", lambda config: (asked.append(config), mirroring(config))[1])
    assert command_again(tmp_path, job) == 0
    assert asked and not (read_json(job.folder / "tracking.json") or {})
