"""Local slots: how a machine is divided, and the order in which jobs run; the jobs here only sleep or fail."""

import io
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from rich.console import Console

from rftlab import runs
from rftlab.errors import UserError
from rftlab.runs import Run
from rftlab.runs.records import load_config
from rftlab.sweeps.fork_server import receive_stops, stop_server
from rftlab.sweeps.job import Job
from rftlab.sweeps.local import DONE, FAILED, STOPPED, LocalPool, make_slots, run_jobs
from sweeps.jobs import make_job


def note(folder: Path, gpu: str, sign_of_life: Connection) -> None:
    """Write down when it ran and on what; its name says how it ends."""
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    receive_stops()
    began = time.time()
    until = began + (30 if "long" in folder.name else 0.2)
    while time.time() < until and not stopped:
        time.sleep(0.01)
        if sign_of_life.poll(0):
            stopped.append(1)
    (folder / "ran").write_text(f"{began} {time.time()} {gpu or '-'} {os.getpid()} {len(stopped)}")
    sys.exit(STOPPED if stopped else FAILED if "bad" in folder.name else DONE)


def run(pool: LocalPool) -> dict[str, str]:
    while not pool.finished:
        pool.step()
    return pool.states


def spans(jobs) -> list[tuple[float, float]]:
    return [tuple(map(float, (job.folder / "ran").read_text().split()[:2])) for job in jobs]


@pytest.mark.parametrize(
    ("count", "threads", "cores", "gpus", "slots", "per_slot"),
    [
        (None, None, 8, [], 8, 1),
        (None, 4, 8, [], 2, 4),
        (2, None, 8, [], 2, 4),
        (3, None, 8, [], 3, 2),
        (None, None, 8, ["0", "1"], 2, 4),
        (1, None, 8, ["0", "1"], 1, 8),
        (None, 16, 8, [], None, None),
        (9, None, 8, [], None, None),
        (0, None, 8, [], None, None),
        (4, 4, 8, [], None, None),
        (3, None, 8, ["0", "1"], None, None),
    ],
)
def test_slots_times_threads_fit_the_cores(count, threads, cores, gpus, slots, per_slot) -> None:
    if slots is None:
        with pytest.raises(UserError):
            make_slots(count, threads, cores, gpus)
        return
    made = make_slots(count, threads, cores, gpus)
    assert (made.count, made.threads) == (slots, per_slot)
    assert made.count * made.threads <= cores


def test_jobs_share_the_slots_and_each_gpu_belongs_to_one_job_at_a_time(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path, f"job{i}") for i in range(6)]
    states = run(LocalPool(jobs, note, make_slots(2, None, 2, ["4", "5"])))
    assert set(states.values()) == {"done"}
    rows = [(job.folder / "ran").read_text().split() for job in jobs]
    assert {row[2] for row in rows} == {"4", "5"}
    assert len({row[3] for row in rows}) == 6  # a fresh process each
    times = spans(jobs)
    assert max(sum(a <= t < b for a, b in times) for t, _ in times) == 2
    for gpu in ("4", "5"):
        own = sorted(span for span, row in zip(times, rows, strict=True) if row[2] == gpu)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(own))


def test_children_wait_for_their_parent_and_a_failure_skips_its_children_only(tmp_path: Path) -> None:
    good, bad = make_job(tmp_path, "sft"), make_job(tmp_path, "bad-sft")
    child, orphan, other = make_job(tmp_path, "ppo", good), make_job(tmp_path, "apa", bad), make_job(tmp_path, "free")
    states = run(LocalPool([good, bad, child, orphan, other], note, make_slots(2, 1, 2, [])))
    by_name = {job.name: states[job.key] for job in (good, bad, child, orphan, other)}
    assert by_name == {"sft": "done", "bad-sft": "failed", "ppo": "done", "apa": "skipped", "free": "done"}
    (parent, first_child) = spans([good, child])
    assert first_child[0] >= parent[1]
    assert not orphan.folder.exists()


def test_a_job_waits_for_all_its_parents_at_any_depth_and_is_skipped_if_one_fails(tmp_path: Path) -> None:
    sft, responses, bad = (make_job(tmp_path, name) for name in ("sft", "responses", "bad-sft"))
    model = make_job(tmp_path, "model", responses)
    child, orphan = make_job(tmp_path, "ppo", sft, model), make_job(tmp_path, "apa", sft, bad)
    behind, strange = make_job(tmp_path, "behind", sft, orphan), make_job(tmp_path, "b", make_job(tmp_path, "never"))
    jobs = [sft, responses, bad, model, child, orphan, behind, strange]
    states = run(LocalPool(jobs, note, make_slots(2, 1, 2, [])))
    assert [states[job.key] for job in jobs] == [*["done"] * 2, "failed", "done", "done", *["skipped"] * 3]
    (_, after_sft), (_, after_responses), (start, after), (last, _) = spans([sft, responses, model, child])
    assert start >= after_responses and last >= max(after, after_sft)


def test_a_job_that_a_search_has_given_up_is_not_started(tmp_path: Path) -> None:
    given_up, other = make_job(tmp_path, "given-up"), make_job(tmp_path, "other")
    runs.prune(given_up.folder, {"reason": "pruned at step 1"})
    assert run(LocalPool([given_up, other], note, make_slots(1, 1, 1, []))) == {
        given_up.key: "pruned", other.key: "done"
    }  # fmt: skip
    assert not (given_up.folder / "ran").exists()


class Chain:
    """A feed that gives its jobs one after the other, each once the one before it has ended."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.left, self.stopped = list(jobs), False

    @property
    def open(self) -> bool:
        return bool(self.left) and not self.stopped

    def more(self, ended: Mapping[str, str]) -> list[Job]:
        return [self.left.pop(0)] if self.left and len(ended) == 4 - len(self.left) else []

    def stop(self) -> None:
        self.stopped = True


def test_jobs_of_a_feed_are_run_until_it_has_no_more(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path, f"job{i}") for i in range(4)]
    console = Console(file=io.StringIO(), width=200)
    states = run_jobs(jobs[:1], note, make_slots(2, 1, 2, []), console, feed=Chain(jobs[1:]))
    assert states == {job.key: "done" for job in jobs}
    times = spans(jobs)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(times))


def test_a_stop_asks_the_running_jobs_and_starts_no_other(tmp_path: Path) -> None:
    running, waiting = make_job(tmp_path, "long"), make_job(tmp_path, "later")
    pool = LocalPool([running, waiting], note, make_slots(1, 1, 1, []))
    while not pool.running:
        pool.step()
    time.sleep(0.5)
    pool.stop()
    assert run(pool) == {running.key: "stopped", waiting.key: "skipped"}


def test_signals_are_heeded_between_steps_only_and_the_second_one_kills(tmp_path: Path) -> None:
    running, waiting = make_job(tmp_path, "long"), make_job(tmp_path, "later")
    pool = LocalPool([running, waiting], deaf, make_slots(1, 1, 1, []))
    while not (running.folder / "began").exists():
        pool.step()
    pool.ask()
    assert not pool.states and not pool.stopping  # a handler may interrupt anything
    pool.step()
    assert pool.stopping and pool.states == {waiting.key: "skipped"} and pool.running
    pool.ask()
    assert run(pool) == {running.key: "stopped", waiting.key: "skipped"}  # killed, as asked: not a failure of its own


def deaf(folder: Path, gpu: str, sign_of_life: Connection) -> None:
    (folder / "began").touch()
    time.sleep(60)


def test_a_signal_to_a_job_that_just_ends_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path, "long")
    pool = LocalPool([job], note, make_slots(1, 1, 1, []))
    pool.step()

    def gone(pid: int, number: int) -> None:
        raise ProcessLookupError

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", gone)
        pool.stop()
    pool.kill()
    assert run(pool) == {job.key: "stopped"}


def test_a_server_that_took_the_place_of_another_holds_signals_back_too(tmp_path: Path) -> None:
    """A job that is asked to stop before it can save must not be ended by that."""
    stop_server()
    job = make_job(tmp_path, "long")
    pool = LocalPool([job], slow_to_listen, make_slots(1, 1, 1, []))
    while not (job.folder / "began").exists():
        pool.step()
    pool.stop()
    assert run(pool) == {job.key: "stopped"}


def slow_to_listen(folder: Path, gpu: str, sign_of_life: Connection) -> None:
    (folder / "began").touch()
    time.sleep(1.0)
    note(folder, gpu, sign_of_life)


def test_a_kill_ends_a_job_at_once(tmp_path: Path) -> None:
    job = make_job(tmp_path, "long")
    pool = LocalPool([job], note, make_slots(1, 1, 1, []))
    while not pool.running:
        pool.step()
    pool.kill()
    began = time.monotonic()
    assert run(pool) == {job.key: "failed"}
    assert time.monotonic() - began < 5


def test_threads_of_a_slot_reach_the_frozen_config_and_an_own_choice_stays(tmp_path: Path) -> None:
    from rftlab.runs import read_run

    job = make_job(tmp_path)
    run(LocalPool([job], note, make_slots(1, None, 3, [])))
    assert read_run(job.folder).config["runtime"]["threads"] == 3


def test_without_the_fork_server_running_jobs_keep_their_slots_and_their_folders_tell_how_they_end(
    tmp_path: Path,
) -> None:
    """The kernel may end any process where memory is short; the next job gets a new server."""
    first, second = make_job(tmp_path, "claims"), make_job(tmp_path, "later")
    pool = LocalPool([first, second], claim, make_slots(1, 1, 1, []))
    while not (first.folder / "status.json").exists():
        pool.step()
    stop_server()
    assert run(pool) == {first.key: "done", second.key: "failed"}
    began, ended = (float((first.folder / name).read_text()) for name in ("began", "ended"))
    assert ended - began > 1.0
    assert float((second.folder / "began").read_text()) >= ended


def claim(folder: Path, gpu: str, sign_of_life: Connection) -> None:
    """Work on a run for a second, as far as the folder can tell."""
    (folder / "began").write_text(str(time.time()))
    if "later" in folder.name:
        sys.exit(FAILED)
    with Run.claim(folder, load_config(folder / "config.yaml")) as claimed:
        time.sleep(1.2)
        (folder / "ended").write_text(str(time.time()))
        claimed.finish({})


BROKEN = """
from pathlib import Path
from rftlab.errors import UserError
from rftlab.sweeps.fork_server import start_server, wait_for_server
from rftlab.sweeps.local import LocalPool, make_slots
from sweeps.jobs import make_job

if __name__ == "__main__":
    start_server("broken")
    try:
        wait_for_server()
    except UserError as error:
        print(error)
"""


def test_code_that_cannot_be_imported_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "sweep.py").write_text(BROKEN)
    root = Path(__file__).parents[2]
    path = os.pathsep.join(map(str, (tmp_path, root / "src", root / "tests")))
    done = subprocess.run(
        [sys.executable, "sweep.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("the process that starts the jobs has ended"), done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_what_stops_a_job_in_the_middle_of_a_sweep_lets_the_running_ones_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full, code that can no longer be imported: nothing more starts, and the first job raises."""
    jobs = [make_job(tmp_path, name) for name in ("first", "second", "third")]
    freeze = runs.freeze

    def full(folder: Path, config: dict) -> None:
        if folder != jobs[0].folder:
            raise UserError("a full disk", "room", "paths.outputs")
        freeze(folder, config)

    monkeypatch.setattr(runs, "freeze", full)
    pool = LocalPool(jobs, note, make_slots(2, 1, 2, []))
    assert run(pool) == {jobs[0].key: "done", jobs[1].key: "failed", jobs[2].key: "skipped"}
    assert pool.trouble is not None and "a full disk" in str(pool.trouble)
    with pytest.raises(UserError, match="a full disk"):
        run(LocalPool(jobs[1:], note, make_slots(2, 1, 2, [])))
