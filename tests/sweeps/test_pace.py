"""How long a sweep still takes: from steps that were measured, and from nothing else."""

import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from rftlab import clock, runs
from rftlab.runs.cost import shape
from rftlab.sweeps import board
from rftlab.sweeps.board import Board, View
from rftlab.sweeps.job import Job
from rftlab.sweeps.pace import Left, Pace
from rftlab.sweeps.progress import read_progress
from rftlab.sweeps.status import Queue, statuses
from rftlab.sweeps.table import show_statuses
from sweeps.jobs import finish, make_job


def log(job: Job, *lines: tuple[int, float], attempt: int = 1) -> None:
    """Log steps with the seconds at which they were done."""
    runs.freeze(job.folder, job.config)
    with (job.folder / "metrics.jsonl").open("a") as file:
        for step, at in lines:
            row = {"step": step, "time": at, "attempt": attempt, "metrics": {"reward/mean": 0.5}}
            file.write(json.dumps(row) + "\n")


def test_a_pace_is_that_of_the_newest_attempt_with_its_evaluations_and_without_its_start(tmp_path: Path) -> None:
    job = make_job(tmp_path, iterations=10)
    log(job, (0, 10.0), (0, 60.0), (1, 68.0), (1, 70.0), (2, 78.0), (2, 80.0))
    first = read_progress(job.folder)
    assert first is not None and (first.step, first.seconds_per_step) == (2, 10.0)
    assert first.left_s(10, 10.0, now=85.0) == 75.0
    assert first.left_s(10, None) is None and first.left_s(2, 10.0, now=1000.0) == 0.0
    log(job, (3, 5000.0), (4, 5020.0), attempt=2)
    second = read_progress(job.folder)
    assert second is not None and (second.step, second.seconds_per_step) == (4, 20.0)


def test_a_rollout_that_is_logged_with_the_next_step_is_no_moment_of_the_step_before(tmp_path: Path) -> None:
    job = make_job(tmp_path, iterations=10)
    log(job, (0, 10.0), (0, 60.0), (1, 60.001))
    first = read_progress(job.folder)
    assert first is not None and first.seconds_per_step is None
    log(job, (1, 70.0), (2, 70.001))
    second = read_progress(job.folder)
    assert second is not None and second.seconds_per_step == pytest.approx(10.0)


def test_one_step_is_no_pace(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    log(job, (1, 0.0))
    progress = read_progress(job.folder)
    assert progress is not None and progress.seconds_per_step is None


def test_what_waits_is_added_at_the_pace_of_its_like_and_divided_among_those_that_run(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path, f"job{i}", iterations=10) for i in range(6)]
    for job in jobs[:2]:
        log(job, (0, 0.0), (5, 50.0))
    running = {job.key: read_progress(job.folder) for job in jobs[:2]}
    pace = Pace(jobs, now=lambda: 50.0)
    assert pace.left(running, {}) == Left(seconds=(2 * 50.0 + 4 * 100.0) / 2, unknown=0)
    assert (
        pace.left({jobs[0].key: running[jobs[0].key]}, dict.fromkeys((j.key for j in jobs[1:]), "done")).seconds == 50
    )


def test_what_nobody_measured_is_counted_and_not_added(tmp_path: Path) -> None:
    like = [make_job(tmp_path, f"job{i}", iterations=10) for i in range(2)]
    other = make_job(tmp_path, "other", iterations=10, model={"name": "larger"})
    pace = Pace([*like, other], now=lambda: 0.0)
    assert pace.left({}, {}) == Left(seconds=None, unknown=3)
    finish(like[0], 6.0, shape(like[0].config))
    left = pace.left({like[1].key: None}, {like[0].key: "done"})
    assert left == Left(seconds=60.0, unknown=1)
    assert left.in_words().startswith("at least 0:01:00 left, ends ") and left.in_words().endswith("(unknown for 1)")


def test_without_a_terminal_a_board_prints_a_line_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [make_job(tmp_path, f"job{i}", iterations=10) for i in range(2)]
    log(jobs[0], (0, 0.0), (5, 50.0))
    now = [0.0]
    monkeypatch.setattr(board, "Pace", lambda jobs: Pace(jobs, now=lambda: now[0]))
    console = Console(width=200, file=io.StringIO())
    with Board(console, jobs, "waiting") as shown:
        for second in range(0, 130, 10):
            now[0] = float(second)
            shown.update(View(running=jobs[:1], waiting=1, ended={}))
    lines = [line for line in console.file.getvalue().splitlines() if "elapsed" in line]
    assert len(lines) == 2 and "2 jobs: 1 running  1 waiting  0:01:00 elapsed  0:02:20 left, ends " in lines[0]


def test_a_terminal_shows_elapsed_rate_left_and_end_of_every_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, iterations=10)
    log(job, (0, 0.0), (5, 50.0))
    monkeypatch.setattr(board, "Pace", lambda jobs: Pace(jobs, now=lambda: 50.0))
    console = Console(width=200, file=io.StringIO(), force_terminal=True, no_color=True)
    with Board(console, [job], "waiting") as shown:
        shown.update(View(running=[job], waiting=0, ended={}))
    text = console.file.getvalue()
    assert "5/10" in text and "10.0 s each" in text and "0:00:50 left, ends" in text


def test_a_row_says_by_what_its_job_differs_from_the_others(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path, "job", iterations=iterations) for iterations in (10, 20)]
    console = Console(width=200, file=io.StringIO(), force_terminal=True, no_color=True)
    with Board(console, jobs, "waiting") as shown:
        shown.update(View(running=jobs, waiting=0, ended={}))
    text = console.file.getvalue()
    assert all(f"job-{job.key}  iterations={n}" in text for job, n in zip(jobs, (10, 20), strict=True))


@pytest.mark.parametrize("width", [60, *range(66, 100, 3), 200])
def test_a_narrow_terminal_loses_whole_columns_and_cuts_none(tmp_path: Path, width: int) -> None:
    job = make_job(tmp_path, "imdb-ppo", iterations=10)
    log(job, (0, time.time() - 50), (5, time.time()))
    console = Console(width=width, file=io.StringIO(), force_terminal=True, no_color=True)
    with Board(console, [job], "waiting") as shown:
        shown.update(View(running=[job], waiting=0, ended={}))
    text = console.file.getvalue()
    assert f"imdb-ppo-{job.key}" in text and "5/10" in text and "left, ends " in text and "…" not in text
    assert ("reward/mean 0.500" in text) == (width > 95)


def test_a_job_that_starts_takes_as_long_as_those_of_its_shape_that_run(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path, f"job{i}", iterations=10) for i in range(2)]
    log(jobs[0], (0, 0.0), (5, 50.0))
    left = Pace(jobs, now=lambda: 50.0).left({jobs[0].key: read_progress(jobs[0].folder), jobs[1].key: None}, {})
    assert left == Left(seconds=100.0, unknown=0)


def test_status_tells_of_a_running_run_how_long_it_takes(tmp_path: Path) -> None:
    job = make_job(tmp_path, iterations=10)
    now = time.time()
    with runs.Run.claim(job.folder, job.config):
        log(job, (0, now - 50), (5, now))
        (found,) = statuses(tmp_path, None, Queue(jobs={}, known=True, tasks={}, final={}))
        assert found.seconds_per_step == pytest.approx(10.0) and found.seconds_left == pytest.approx(50, abs=5)
        assert {"seconds_per_step", "seconds_left"} <= found.to_dict().keys()
        console = Console(width=200, file=io.StringIO())
        show_statuses(console, [found])
    head, line, *_ = console.file.getvalue().splitlines()
    assert head.split()[-4:-1] == ["left", "ends", "job"] or {"rate", "left", "ends"} <= set(head.split())
    assert "10.0 s each" in line and clock.end(50.0)[:3] in line


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "4.0/s"), (1.0, "1.0 s each"), (90.0, "90.0 s each"), (None, "-"), (0.0, "0.0 s each")],
)
def test_a_rate_is_written_by_the_side_that_is_above_one(seconds: float | None, words: str) -> None:
    assert clock.rate(seconds) == words


def test_an_end_is_a_clock_time_and_a_day_where_it_is_not_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert clock.end(3600.0, now=0.0) == "01:00" and clock.end(90_000.0, now=0.0) == "Fri 02 Jan 01:00"
    assert clock.end(None) == clock.duration(None) == "-"
    monkeypatch.undo()
    time.tzset()
