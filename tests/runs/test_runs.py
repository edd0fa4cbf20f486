"""The run folder: identity, one writer at a time, crash safety, reading back."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import rftlab
from rftlab import runs
from rftlab.errors import UserError
from rftlab.runs import (
    Run,
    RunIsDone,
    RunIsLive,
    attempt,
    find_key,
    find_runs,
    read_run,
    run_folder,
    run_key,
    state_of,
)

CONFIG = {
    "name": "a", "sweep": {"name": "s"}, "seed": 0, "algo": {"name": "ppo", "lr": 1e-4, "kl": {"target": None}},
    "runtime": {"device": "cpu"}, "tracking": {"uri": None}, "paths": {"outputs": "outputs"},
}  # fmt: skip


def folder_of(outputs: Path, config: dict = CONFIG) -> Path:
    return run_folder(outputs, "s", "a", run_key(config))


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start another process that can import the library."""
    environment = {**os.environ, "PYTHONPATH": str(Path(rftlab.__file__).parents[1])}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def output_of(process: subprocess.Popen[str]) -> str:
    with process:
        return process.communicate(timeout=60)[0]


@pytest.fixture(autouse=True)
def quick_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare every claim its calls of git; test_environment.py has the real record."""
    monkeypatch.setattr(attempt, "environment", lambda: {"git_sha": "0" * 40})


# Finding what exists


def test_the_nearest_run_is_the_one_with_the_fewest_changes(tmp_path):
    for config in (CONFIG, {**CONFIG, "seed": 1, "scale": "paper"}):
        Run.claim(folder_of(tmp_path, config), config).stop()
    nearest = runs.nearest_run({**CONFIG, "seed": 2}, find_runs(tmp_path))
    assert nearest is not None
    assert (nearest[0].config["seed"], nearest[1]) == (0, ["seed"])
    assert runs.nearest_run(CONFIG, []) is None


def test_importing_the_contract_loads_no_heavy_library():
    heavy = ("torch", "mlflow", "hydra", "pandas", "numpy")
    code = f"import sys, rftlab.runs; print([name for name in {heavy} if name in sys.modules])"
    assert output_of(python(code)).strip() == "[]"


# One writer at a time

HOLD = """
import sys, time
from pathlib import Path
from rftlab.runs import Run
run = Run.claim(Path(sys.argv[1]), {"seed": 0})
run.log(3, {"a": 1.0})
print("held", flush=True)
time.sleep(60)
"""


def test_a_live_process_keeps_others_away_and_kill_9_lets_the_next_one_in(tmp_path):
    folder = tmp_path / "s" / "a-0"
    with python(HOLD, folder) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunIsLive) as live:
            Run.claim(folder, {"seed": 0})
        assert (live.value.pid, live.value.host) == (holder.pid, os.uname().nodename)
        assert state_of(folder) == "running"
        holder.send_signal(signal.SIGKILL)
    assert state_of(folder) == "lost"
    with Run.claim(folder, {"seed": 0}) as run:
        assert run.attempt == 2
        assert state_of(folder) == "running"


FORK = """
import os, sys, time
from pathlib import Path
from rftlab.runs import Run
run = Run.claim(Path(sys.argv[1]), {"seed": 0})
child = os.fork()
if child == 0:
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""


def test_a_forked_worker_that_outlives_a_killed_run_does_not_hold_its_claim(tmp_path):
    with python(FORK, tmp_path / "a-0") as holder:
        assert holder.stdout is not None
        worker = int(holder.stdout.readline())
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        try:
            Run.claim(tmp_path / "a-0", {"seed": 0}).stop()
        finally:
            os.kill(worker, signal.SIGKILL)


RACE = """
import sys, time
from pathlib import Path
from rftlab.runs import Run, RunIsDone, RunIsLive
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
try:
    with Run.claim(Path(sys.argv[1]), {"seed": 0}) as run:
        time.sleep(1.0)
        run.finish({})
    print("ran")
except (RunIsLive, RunIsDone) as error:
    print(type(error).__name__)
"""


def test_of_processes_that_start_at_once_one_runs(tmp_path):
    start = time.time() + 0.7
    processes = [python(RACE, tmp_path / "a-0", start) for _ in range(4)]
    assert sorted(output_of(process).strip() for process in processes).count("ran") == 1
    assert read_run(tmp_path / "a-0").status["attempt"] == 1


def other_host(folder: Path, **status: object) -> None:
    """Leave the status of a run that works, or worked, on another host whose locks are not seen here."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"state": "running", "attempt": 1, "host": "elsewhere", "pid": 1, "heartbeat": time.time(), **status}
    (folder / "status.json").write_text(json.dumps(content))


def test_a_run_on_another_host_is_live_until_its_lease_ends(tmp_path):
    other_host(tmp_path)
    assert state_of(tmp_path) == "running"
    with pytest.raises(RunIsLive, match="elsewhere"):
        Run.claim(tmp_path, CONFIG)
    other_host(tmp_path, heartbeat=time.time() - runs.LEASE_S - 1)
    assert state_of(tmp_path) == "lost"
    with Run.claim(tmp_path, CONFIG) as run:
        assert run.attempt == 2


def test_a_job_that_the_scheduler_restarted_on_another_host_need_not_wait_for_the_lease(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    other_host(tmp_path, job_id="7", restart=0)
    with pytest.raises(RunIsLive):
        Run.claim(tmp_path, CONFIG)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with Run.claim(tmp_path, CONFIG) as run:
        assert run.attempt == 2


def test_a_sign_of_life_is_written_while_the_run_computes(tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "HEARTBEAT_S", 0.02)
    with Run.claim(tmp_path, CONFIG) as run:
        first = read_run(tmp_path).status["heartbeat"]
        time.sleep(0.3)
        assert read_run(tmp_path).status["heartbeat"] > first
        run.finish({})
    time.sleep(0.1)
    assert read_run(tmp_path).status["state"] == "done"


# How an attempt ends


def test_a_finished_run_is_returned_and_not_run_again(tmp_path):
    with Run.claim(tmp_path, CONFIG) as run:
        run.finish({"eval/test/reward": 0.5, "bad": float("-inf")})
    with pytest.raises(RunIsDone) as done:
        Run.claim(tmp_path, CONFIG)
    assert done.value.final == {"eval/test/reward": 0.5, "bad": float("-inf")} == runs.finished(tmp_path)
    assert read_run(tmp_path).state == "done"


def test_done_is_written_last_and_a_crash_before_it_leaves_the_run_unfinished(tmp_path, monkeypatch):
    class PowerCut(BaseException):
        """Stands for the end of the process."""

    written: list[str] = []
    write = attempt.write_atomic

    def record(path: Path, text: str, durable: bool = True) -> None:
        if path.name == "DONE":
            raise PowerCut
        written.append(path.name)
        write(path, text, durable)

    monkeypatch.setattr(attempt, "write_atomic", record)
    with pytest.raises(PowerCut), Run.claim(tmp_path, CONFIG) as run:
        run.log(1, {"a": 1.0})
        run.finish({"a": 1.0})
    assert written[-1] == "status.json"
    assert (runs.finished(tmp_path), state_of(tmp_path)) == (None, "lost")
    monkeypatch.undo()
    with Run.claim(tmp_path, CONFIG) as run:
        assert run.attempt == 2


@pytest.mark.parametrize(("error", "state"), [(ValueError("why"), "failed"), (KeyboardInterrupt(), "stopped")])
def test_an_attempt_records_the_error_that_ended_it_and_can_be_resumed(tmp_path, error, state):
    with pytest.raises(type(error)), Run.claim(tmp_path, CONFIG):
        raise error
    record = read_run(tmp_path)
    assert record.state == state
    assert ("why" in record.status.get("error", "")) == (state == "failed")
    with Run.claim(tmp_path, CONFIG) as run:
        assert run.attempt == 2
        assert "error" not in read_run(tmp_path).status


def test_leaving_without_finishing_is_no_success(tmp_path):
    with Run.claim(tmp_path, CONFIG):
        pass
    assert read_run(tmp_path).state == "stopped"


def test_every_attempt_adds_one_environment_record(tmp_path):
    Run.claim(tmp_path, CONFIG).stop()
    Run.claim(tmp_path, {**CONFIG, "runtime": {"device": "cuda"}}, extra={"device": "a GPU"}).stop()
    attempts = json.loads((tmp_path / "env.json").read_text())["attempts"]
    assert [record["runtime"]["device"] for record in attempts] == ["cpu", "cuda"]
    assert read_run(tmp_path).env["device"] == "a GPU"
    assert attempts[0]["git_sha"] == "0" * 40


def test_where_a_run_executes_may_change_but_another_computation_under_its_key_is_refused(tmp_path):
    Run.claim(tmp_path, CONFIG).stop()
    Run.claim(tmp_path, {**CONFIG, "runtime": {"device": "cuda"}}).stop()
    assert read_run(tmp_path).config["runtime"] == {"device": "cuda"}
    with pytest.raises(UserError, match=r"different: seed"):
        Run.claim(tmp_path, {**CONFIG, "seed": 5})
    assert state_of(tmp_path) == "stopped"
    Run.claim(tmp_path, CONFIG).stop()


# Lines and tables


def test_the_last_value_of_a_step_counts_after_a_resume(tmp_path):
    with Run.claim(tmp_path, CONFIG) as run:
        run.log(1, {"a": 1.0, "b": 1.0})
        run.log(2, {"a": 2.0})
    with Run.claim(tmp_path, CONFIG) as run:
        run.log(2, {"a": 20.0})
        run.log(10, {"a": 3.0})
    assert read_run(tmp_path).metrics() == [(1, "a", 1.0), (1, "b", 1.0), (2, "a", 20.0), (10, "a", 3.0)]


def test_a_line_torn_by_a_crash_loses_itself_only(tmp_path):
    with Run.claim(tmp_path, CONFIG) as run:
        run.log(1, {"a": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "time": 1.0, "att')
    assert read_run(tmp_path).metrics() == [(1, "a", 1.0)]
    with Run.claim(tmp_path, CONFIG) as run:
        run.log(2, {"a": 2.0})
    assert read_run(tmp_path).metrics() == [(1, "a", 1.0), (2, "a", 2.0)]


def test_non_finite_values_survive_in_strict_json(tmp_path):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    with Run.claim(tmp_path, CONFIG) as run:
        run.log(1, {"nan": float("nan"), "up": float("inf"), "down": float("-inf")})
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)
    (_, _, down), (_, _, nan), (_, _, up) = read_run(tmp_path).metrics()
    assert (down, nan != nan, up) == (float("-inf"), True, float("inf"))


FULL = """
import resource, sys
from pathlib import Path
from rftlab.errors import UserError
from rftlab.runs import Run
run = Run.claim(Path(sys.argv[1]), {"seed": 0})
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    for step in range(10_000):
        run.log(step, {"a": 0.5})
except UserError as error:
    print(step, error)
"""


def test_a_full_disk_is_named_and_leaves_whole_lines(tmp_path):
    text = output_of(python(FULL, tmp_path))
    step, _, message = text.partition(" ")
    assert "metrics.jsonl" in message
    assert "paths.outputs" in message
    assert (tmp_path / "metrics.jsonl").read_bytes().endswith(b"\n")
    assert len(read_run(tmp_path).metrics()) == int(step) > 10


def test_prompt_statistics_of_a_phase_replace_the_older_ones(tmp_path):
    def frame(phase: str, step: int, mean: float) -> pd.DataFrame:
        row = {"phase": phase, "step": step, "split": "train", "decoding": "common"}
        row |= {"prompt_id": "p", "reward_mean": mean}
        return pd.DataFrame([row])

    with Run.claim(tmp_path, CONFIG) as run:
        assert read_run(tmp_path).prompts() is None
        looks = [("before", 0, 0.1), ("during", 5, 0.2), ("during", 10, 0.3), ("before", 0, 0.4), ("during", 5, 0.5)]
        for look in looks:
            run.save_prompts(frame(*look))
    stored = read_run(tmp_path).prompts()[["phase", "step", "reward_mean"]]
    assert set(stored.itertuples(index=False, name=None)) == {looks[2], looks[3], looks[4]}


def test_samples_come_back_in_order_with_their_attempt(tmp_path):
    with Run.claim(tmp_path, CONFIG) as run:
        run.log_samples([{"step": 0, "response": "é\n"}, {"step": 0, "response": "b"}])
        run.log_samples([])
    rows = read_run(tmp_path).samples()
    assert [(row["attempt"], row["response"]) for row in rows] == [(1, "é\n"), (1, "b")]


def test_runs_are_found_by_sweep_and_by_key_finished_ones_first(tmp_path):
    key = run_key(CONFIG)
    for sweep, name in (("one", "x"), ("two", "y")):
        with Run.claim(run_folder(tmp_path, sweep, name, key), CONFIG) as run:
            if sweep == "two":
                run.finish({})
    assert [(record.sweep, record.name, record.key) for record in find_runs(tmp_path)] == [
        ("one", "x", key),
        ("two", "y", key),
    ]
    assert [record.sweep for record in find_runs(tmp_path, "one")] == ["one"]
    assert [record.done for record in find_key(tmp_path, key)] == [True, False]


@pytest.mark.parametrize(("resumed_at", "steps"), [(None, 10), (4, 6)])
def test_the_cost_counts_every_step_of_an_attempt_also_of_a_loop_that_logs_its_last_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumed_at: int | None, steps: int
) -> None:
    now = [1000.0]
    config = {"seed": 0, "algo": {"loop": {"iterations": 10}}}
    folder = tmp_path / "sweep" / f"run-{runs.run_key(config)}"
    monkeypatch.setattr("rftlab.runs.attempt.time.time", lambda: now[0])
    with runs.Run.claim(folder, config) as run:
        if resumed_at is not None:
            run.goes_on_from(resumed_at)
        now[0] += 60.0
        run.log(10, {"reward/mean": 0.5})
        run.finish({})
    assert json.loads((folder / "DONE").read_text())["cost"]["seconds_per_step"] == 60.0 / steps


def test_an_attempt_that_did_no_step_has_no_cost(tmp_path: Path) -> None:
    config = {"seed": 0, "algo": {"loop": {"iterations": 10}}}
    with runs.Run.claim(tmp_path / "sweep" / f"run-{runs.run_key(config)}", config) as run:
        run.log(0, {"reward/mean": 0.5})
        run.finish({})
    assert json.loads((run.folder / "DONE").read_text())["cost"] is None
