"""A run that is named by its key and is not there is refused before anything is trained for its sake."""

from io import StringIO
from pathlib import Path

import pytest
from config.test_config import plan
from rich.console import Console

from rftlab import runs
from rftlab.errors import UserError
from rftlab.launch import single
from rftlab.launch.needs import require_runs
from rftlab.launch.whole_sweep import Sweep, run_sweep
from rftlab.runs import Run
from rftlab.stop import StopFlag

KEY = "0123456789ab"


@pytest.mark.parametrize("place", ["init_from", "reward.run"])
def test_a_key_of_no_run_is_refused_before_the_parents_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    job = plan("data=hh", "algo=ppo", f"{place}={KEY}", f"paths.outputs={tmp_path}")
    assert len(job.parents) == 1
    monkeypatch.setattr(single, "_finish", lambda *_: pytest.fail("a parent was made"))
    with pytest.raises(UserError, match=rf"{place}={KEY}, which is no finished run in .*; change {place}"):
        single.execute(job, StopFlag())
    assert not runs.find_runs(tmp_path)


def test_a_finished_run_and_the_parents_that_are_yet_to_be_made_are_not_refused(tmp_path: Path) -> None:
    given = plan("data=hh", "algo=sft", "reward=none", f"paths.outputs={tmp_path}")
    job = plan("data=hh", "algo=ppo", f"init_from={given.key}", f"paths.outputs={tmp_path}")
    with Run.claim(given.folder, given.config) as run:
        with pytest.raises(UserError, match="which is no finished run"):
            require_runs([job])
        run.finish({"eval/test/loss": 1.0})
    require_runs([job])


def test_a_sweep_hears_of_a_missing_run_before_its_parents_are_made(tmp_path: Path) -> None:
    job = plan("data=hh", "algo=ppo", f"init_from={KEY}", f"paths.outputs={tmp_path}")
    sweep = Sweep(name="s", outputs=tmp_path, dry_run=True, page=False, config="")
    with pytest.raises(UserError, match=rf"init_from={KEY}, which is no finished run"):
        run_sweep(sweep, [*job.parents, job], NoLauncher(), Console(file=StringIO()))
    maker = plan("data=hh", "algo=sft", "reward=none", f"paths.outputs={tmp_path}")
    made_by_the_sweep = plan("data=hh", "algo=ppo", f"init_from={maker.key}", f"paths.outputs={tmp_path}")
    require_runs([made_by_the_sweep, maker])


class NoLauncher:
    """A launcher of a sweep that must start nothing."""

    follows, gpus = False, 0

    def begin(self) -> None:
        pytest.fail("begun")

    def settings(self) -> dict[str, str]:
        return {}

    def queued(self, outputs: Path) -> dict[str, str]:
        return {}

    def run(self, jobs: object, queued: object, console: object) -> dict[str, str]:
        pytest.fail("run")
