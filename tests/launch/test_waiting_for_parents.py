"""A parent that another process works on is waited for: nothing is wrong with the command of the child."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from rftlab import runs
from rftlab.launch import single
from rftlab.runs import Run
from rftlab.stop import StopFlag, StopRequested


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Run]:
    run = Run.claim(tmp_path / "sweep" / "parent-0123456789ab", {"seed": 0})
    yield run
    if runs.state_of(run.folder) == "running":
        run.stop()


def parent_of(run: Run, monkeypatch: pytest.MonkeyPatch, tries: list[str]) -> SimpleNamespace:
    """Make a job whose run is left alone while another process has it."""

    def execute(job: SimpleNamespace, stop: StopFlag) -> dict[str, float]:
        tries.append(runs.state_of(job.folder))
        return {"reward": 1.0} if tries[-1] == "stopped" else {}

    monkeypatch.setattr(single, "execute", execute)
    return SimpleNamespace(folder=run.folder)


@pytest.mark.parametrize("ends", ["finish", "stop"])
def test_a_live_parent_is_waited_for_and_taken_over_if_it_stops(
    live: Run, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    tries: list[str] = []
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            live.finish({"reward": 0.5}) if ends == "finish" else live.stop()

    monkeypatch.setattr(single.time, "sleep", nap)
    single._finish(parent_of(live, monkeypatch, tries), StopFlag())
    assert len(naps) == 3
    assert tries == {"finish": ["running", "done"], "stop": ["running", "stopped"]}[ends]


def test_a_command_that_waits_can_be_stopped(live: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = StopFlag()
    monkeypatch.setattr(single.time, "sleep", lambda seconds: stop.request("a test"))
    with pytest.raises(StopRequested):
        single._finish(parent_of(live, monkeypatch, []), stop)
