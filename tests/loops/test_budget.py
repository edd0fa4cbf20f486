"""Measurements within a budget of seconds: what is kept, what a resume does again, and in which order they come."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from test_diagnose_loop import LOOP
from toy import shared_letters

from rftlab.loops import budget
from rftlab.loops.budget import Kept, Row, Tick, measure_within, spread
from rftlab.loops.diagnose import Diagnose
from rftlab.loops.lab import Lab
from rftlab.loops.session import Session
from rftlab.runs import Run, read_run
from rftlab.stop import StopFlag, StopRequested

PASSES = 3


@dataclass
class Clock:
    """A clock that moves by a second with each pass."""

    now: float = 100.0

    def perf_counter(self) -> float:
        return self.now


@dataclass(frozen=True, kw_only=True)
class Watched(Session):
    """A session that counts the steps of its bar."""

    shown: list[int] = field(default_factory=lambda: [0])

    def bar(self, items: Iterable[int], label: str, total: int, initial: int) -> Iterable[int]:
        self.shown[0] = initial
        for item in items:
            self.shown[0] += 1
            yield item


@pytest.fixture
def session(tmp_path: Path) -> Watched:
    run = Run.claim(tmp_path / "run", {"seed": 0})
    return Watched(run=run, seed=0, checkpoint_every=1, progress=False, describe=print, stop=StopFlag())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(budget, "time", clock)
    return clock


def measurement(clock: Clock, measured: list[int]) -> Callable[[int, Tick], Row]:
    def measure(number: int, tick: Tick) -> Row:
        for _ in range(PASSES):
            tick()
            clock.now += 1.0
        measured.append(number)
        return {"number": number}

    return measure


@pytest.mark.parametrize(("limit", "done"), [(None, 4), (100, 4), (7, 2), (1, 0)])
def test_what_is_done_within_the_budget_is_kept_and_saved(
    session: Watched, clock: Clock, limit: int | None, done: int
) -> None:
    kept, saved = Kept(), []
    all_done = measure_within(
        session, measurement(clock, []), [5, 8, 2, 9], passes=PASSES, limit_s=limit, kept=kept,
        save=lambda kept: saved.append(len(kept.rows)),
    )  # fmt: skip
    assert [row["number"] for row in kept.rows] == [5, 8, 2, 9][:done] and saved == list(range(1, done + 1))
    assert all_done == (done == 4)
    assert limit is None or kept.seconds <= limit + 1.0, "over by one pass at most"
    assert session.shown[0] == (4 * PASSES if all_done else min(4 * PASSES, limit + 1))


def test_a_resume_measures_the_rest_with_the_rest_of_the_budget(session: Watched, clock: Clock) -> None:
    kept, measured = Kept(rows=[{"number": 5}], seconds=3.0), []
    settings = {"passes": PASSES, "kept": kept, "save": lambda kept: None}
    assert not measure_within(session, measurement(clock, measured), [5, 8, 2], limit_s=6, **settings)
    assert measured == [8] and [row["number"] for row in kept.rows] == [5, 8]


def test_a_request_to_stop_is_heeded_within_a_measurement(session: Watched, clock: Clock) -> None:
    session.stop.request("preempted")
    with pytest.raises(StopRequested):
        measure_within(
            session, measurement(clock, []), [1], passes=PASSES, limit_s=None, kept=Kept(), save=lambda kept: None
        )


@pytest.mark.parametrize("n", [1, 2, 3, 6, 17])
def test_the_first_few_lie_far_apart(n: int) -> None:
    order = spread(n)
    assert sorted(order) == list(range(n))
    assert order[:2] == [0, n - 1][:n] and (n < 3 or order[2] in ((n - 1) // 2, n // 2))


# --- in a diagnosis -----------------------------------------------------------------------------------------------


def diagnosis(lab: Lab, loop: Diagnose) -> tuple[pd.DataFrame | None, list[str]]:
    said: list[str] = []
    loop.run(replace(lab, session=replace(lab.session, describe=said.append)))
    return read_run(lab.session.run.folder).cases(), said


def scored(lab: Lab) -> Lab:
    return replace(lab, task=replace(lab.task, reward=shared_letters))


def test_a_diagnosis_measures_gradients_only_where_asked_and_says_first_what_they_cost(make_lab: Callable) -> None:
    cases, said = diagnosis(scored(make_lab("none")), LOOP)
    assert (cases is None or cases.empty) and not any("gradients" in line for line in said)
    cases, said = diagnosis(scored(make_lab("three")), replace(LOOP, bound_prompts=3, bound_seconds=60))
    assert len(cases) == 3 and cases["grad_norm"].notna().all()
    assert said[0].startswith("gradients and bounds of 3 prompts: about ") and "bound_seconds=60" in said[0]


def test_a_diagnosis_that_runs_out_of_its_budget_keeps_the_ends_of_the_range_first(
    make_lab: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = replace(LOOP, bound_prompts=5, bound_seconds=10)
    lab = scored(make_lab("whole"))
    whole, _ = diagnosis(lab, replace(loop, bound_seconds=None))
    stds = read_run(lab.session.run.folder).prompts().set_index("prompt_id")["reward_std"]
    assert stds[whole["input_id"][0]] == stds.min() < stds[whole["input_id"][1]] == stds.max()
    ticks = itertools.count()
    monkeypatch.setattr(budget, "time", SimpleNamespace(perf_counter=lambda: 0.8 * next(ticks)))
    part, said = diagnosis(scored(make_lab("part")), loop)
    assert 0 < len(part) < 5 and part.equals(whole.head(len(part)))
    assert any(line.startswith(f"gradients of {len(part)} of 5 prompts are measured") for line in said)


def test_a_diagnosis_that_dies_among_its_gradients_goes_on_there(
    make_lab: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = replace(LOOP, bound_prompts=4)
    whole, _ = diagnosis(scored(make_lab("whole")), loop)
    measured, one = [], Diagnose._case

    def dies(self: Diagnose, lab: Lab, example: object, place: str, number: int, tick: Tick) -> Row:
        measured.append(number)
        if len(measured) == 3:
            raise KeyboardInterrupt
        return one(self, lab, example, place, number, tick)

    monkeypatch.setattr(Diagnose, "_case", dies)
    lab = scored(make_lab("broken"))
    with pytest.raises(KeyboardInterrupt):
        loop.run(lab)
    lab.session.run.stop()
    again, _ = diagnosis(scored(make_lab("broken")), loop)
    assert again.equals(whole)
    assert len(measured) == 5 and measured[2] == measured[3], "two, the death, and the other two"
