"""`python src/sweep.py` on run folders of this machine: what it says, what it touches, what it refuses."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from sweeps.finished import done, failed, grid, job_of
from sweeps.jobs import end, finish, make_job

from rftlab import runs
from rftlab.commands import sweep as sweep_cli
from rftlab.errors import UserError
from rftlab.launch import sweep_end
from rftlab.launch.whole_sweep import noted_launch
from rftlab.sweeps.job import Job
from rftlab.sweeps.slurm.refusal import Refused
from rftlab.sweeps.status import Queue, statuses
from rftlab.sweeps.table import show_statuses


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command on `tmp_path/out`; returns (exit code, standard output, standard error)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sweep.py", *arguments, "--outputs", str(tmp_path / "out")])
        with pytest.raises(SystemExit) as stop:
            sweep_cli.main()
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note of which sweeps a page is asked for, and write none: each takes seconds."""
    asked: list[str] = []
    monkeypatch.setattr(sweep_end, "_write_page", lambda outputs, sweep, console: asked.append(sweep))
    return asked


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Job]:
    jobs = {name: make_job(tmp_path / "out", name) for name in ("done", "failed", "lost", "stopped")}
    finish(jobs["done"])
    end(jobs["failed"], "failed", step=2, error="UserError: no such column")
    end(jobs["lost"], "running", step=1)
    end(jobs["stopped"], "stopped", step=3, reason="SIGTERM")
    (jobs["failed"].folder / "log.txt").write_text("first line\nerror: no such column\n")
    return jobs


def test_status_says_what_became_of_every_run(call, made) -> None:
    code, text, _ = call("status")
    assert code == 0
    for name, job in made.items():
        row = next(line for line in text.splitlines() if job.key in line)
        assert f" {name} " in row
    assert "no such column" in text
    assert "4 runs: 1 done, 1 failed, 1 lost, 1 stopped" in text


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_terminal_shows_whole_keys_and_every_reason(made, tmp_path: Path, width: int) -> None:
    reason = "a reason of many words " * 12
    end(made["failed"], "failed", step=2, error=reason)
    found = statuses(tmp_path / "out", None, Queue(jobs={}, known=True, tasks={}, final={}))
    console = Console(record=True, width=width, file=io.StringIO())
    show_statuses(console, found)
    lines = console.export_text().splitlines()
    for name, job in made.items():
        assert any(job.key in line and f" {name} " in line and len(line) <= width for line in lines)
    assert reason.strip() in " ".join(lines)  # below the table, as it has no room for it


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for seed in (0, 1):
        end(make_job(tmp_path, "same", seed=seed), "failed")
    found = statuses(tmp_path, None, Queue(jobs={}, known=True, tasks={}, final={}))
    assert sorted(run.label for run in found) == ["same seed=0", "same seed=1"]


def test_status_for_scripts_is_json(call, made) -> None:
    _, text, _ = call("status", "--json")
    states = {run["key"]: run["state"] for run in json.loads(text)}
    assert states == {job.key: name for name, job in made.items()}


def test_status_lists_jobs_of_the_last_launch_that_have_not_started(call, made, tmp_path: Path) -> None:
    note = {"launcher": {"kind": "local"}, "jobs": {"0123456789ab": "waiting-0123456789ab"}}
    (tmp_path / "out" / "sweep" / "launch.json").write_text(json.dumps(note))
    _, text, _ = call("status")
    assert "5 runs: " in text and "1 new" in text


def test_logs_are_found_by_the_beginning_of_a_key(call, made) -> None:
    code, text, _ = call("logs", made["failed"].key[:6])
    assert code == 0 and "no such column" in text


def test_logs_are_followed_until_the_run_ends(made, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out", "live")
    command = [sys.executable, "src/sweep.py", "logs", job.key, "-f", "--outputs", str(tmp_path / "out")]
    with runs.Run.claim(job.folder, job.config) as run:
        (job.folder / "log.txt").write_text("one\n")
        follower = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], env={"PYTHONPATH": "src", "PATH": "/usr/bin:/bin"},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert follower.stdout is not None
        assert follower.stdout.readline() == "one\n"
        with (job.folder / "log.txt").open("a") as file:
            file.write("two\n")
        assert follower.stdout.readline() == "two\n"
        run.finish({})
    assert follower.wait(20) == 0
    follower.stdout.close()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["logs", "zzz"], "KEY"),
        (["stauts"], "expected one of status"),
        (["logs"], "--help"),
        (["status", "--sweep", "nothing"], "--sweep"),
        (["cancel", "zzz"], "KEY"),
        (["clean"], "--yes"),
        (["sync"], "--uri"),
        (["retry"], "launch.json"),
    ],
)
def test_bad_input_is_one_line_and_nothing_happens(call, made, arguments, named) -> None:
    before = {job.key: runs.state_of(job.folder) for job in made.values()}
    code, _, errors = call(*arguments)
    assert code == 2
    (line,) = errors.strip().splitlines()
    assert named in line and "; expected " in line and "; change " in line
    assert {job.key: runs.state_of(job.folder) for job in made.values()} == before


def test_outputs_that_do_not_exist_are_named(call) -> None:
    code, _, errors = call("status")
    assert code == 2 and "--outputs" in errors


def test_clean_removes_what_never_finished_and_nothing_else(call, made) -> None:
    code, text, _ = call("clean", "--yes")
    assert code == 0
    assert [name for name, job in made.items() if job.folder.exists()] == ["done"]
    assert "removed 3 folders" in text
    assert "nothing to remove" in call("clean", "--yes")[1]


def test_clean_leaves_a_live_run_alone(call, made, tmp_path: Path) -> None:
    live = make_job(tmp_path / "out", "live")
    with runs.Run.claim(live.folder, live.config):
        call("clean", "--yes")
        assert live.folder.exists()


def started(job: Job, code: str) -> subprocess.Popen[bytes]:
    """Start a process that runs `code` on the folder of the job, and wait until the run counts as running."""
    runs.freeze(job.folder, job.config)
    process = subprocess.Popen([sys.executable, "-c", code, str(job.folder)], env={"PYTHONPATH": "src"})
    while runs.state_of(job.folder) != "running":
        time.sleep(0.02)
    return process


def test_cancel_asks_a_local_run_to_stop(call, made, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out", "live")
    code = (
        "import signal, sys, time\nfrom pathlib import Path\n"
        "from rftlab import runs\nfrom rftlab.runs.records import load_config\n"
        "folder = Path(sys.argv[1])\nstopped = []\nsignal.signal(signal.SIGTERM, lambda *_: stopped.append(1))\n"
        "with runs.Run.claim(folder, load_config(folder / 'config.yaml')) as run:\n"
        "    while not stopped:\n        time.sleep(0.02)\n    run.stop('asked')\n"
    )
    process = started(job, code)
    assert call("cancel", job.key)[0] == 0
    assert process.wait(20) == 0
    assert runs.state_of(job.folder) == "stopped"


def test_cancel_reaches_a_run_that_has_its_folder_but_no_status_yet(call, made, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out", "live")
    code = (
        "import json, os, signal, socket, sys, time\nfrom pathlib import Path\n"
        "from rftlab.files import FileLock\n"
        "folder = Path(sys.argv[1])\nstopped = []\nsignal.signal(signal.SIGTERM, lambda *_: stopped.append(1))\n"
        "lock = FileLock(folder / '.lock')\nassert lock.take(0)\ntime.sleep(1)\n"
        "(folder / 'status.json').write_text(json.dumps({'pid': os.getpid(), 'host': socket.gethostname()}))\n"
        "while not stopped:\n    time.sleep(0.02)\n"
    )
    process = started(job, code)
    assert not (job.folder / "status.json").exists()
    assert call("cancel", job.key)[0] == 0
    assert process.wait(20) == 0


def test_retry_runs_exactly_the_failed_and_the_lost(call, made, tmp_path: Path, monkeypatch) -> None:
    launched: list[list[str]] = []

    def run(jobs, folder, settings, console):
        launched.append([job.name for job in jobs])
        assert settings == {"kind": "local", "slots": 1}
        return {job.key: "failed" for job in jobs}

    note = {"launcher": {"kind": "local", "slots": 1}, "jobs": {}}
    (tmp_path / "out" / "sweep" / "launch.json").write_text(json.dumps(note))
    monkeypatch.setattr(sweep_cli.launchers, "run", run)
    code, _, _ = call("retry")
    assert launched == [["failed", "lost"]]
    assert code == 1


def test_retry_ends_like_the_sweep_with_its_comparison_and_its_page(
    call, tmp_path: Path, monkeypatch, pages: list[str]
) -> None:
    grid(tmp_path / "out", {1e-4: 0.5, 5e-4: 0.7})
    again = failed(job_of(tmp_path / "out", 3, 5e-4), "no space")

    def run(jobs, *_: object) -> dict[str, str]:
        return {done(job, 0.7).key: "done" for job in jobs}

    monkeypatch.setattr(sweep_cli.launchers, "run", run)
    code, text, _ = call("retry", again.key)
    assert code == 0 and text.index("sweep: 1 done") < text.index("Best: optimizer.lr=0.0005")
    assert pages == ["sweep"]


def test_retry_of_one_key_leaves_the_others(call, made, tmp_path: Path, monkeypatch) -> None:
    launched: list[list[str]] = []
    monkeypatch.setattr(sweep_cli.launchers, "run", lambda jobs, *_: launched.append([job.name for job in jobs]) or {})
    call("retry", made["lost"].key[:6])
    assert launched == [["lost"]]
    code, _, error = call("retry", made["done"].key)
    assert code == 2 and "done" in error and "failed or were lost" in error


def test_retry_refuses_runs_whose_own_files_were_edited(call, made, tmp_path: Path, monkeypatch) -> None:
    folder, table = made["failed"].folder, tmp_path / "table.csv"
    config = runs.read_run(folder).config | {"files": {str(table): "0" * 12}}
    (folder / "config.yaml").write_text(json.dumps(config))
    note = {"hydra": {"overrides": {"hydra": ["hydra.mode=MULTIRUN", "hydra/launcher=slurm"], "task": ["seed=0,1"]}}}
    (tmp_path / "out" / "sweep" / "multirun.yaml").write_text(json.dumps(note))
    monkeypatch.setattr(sweep_cli.launchers, "run", lambda *_: pytest.fail("a job was sent"))
    code, _, errors = call("retry")
    assert code == 2
    (line,) = errors.strip().splitlines()
    assert f"{table}, edited or moved since 1 of 2 runs" in line and made["failed"].key in line
    assert line.endswith("python src/train.py -m hydra/launcher=slurm seed=0,1")


def test_logs_of_a_run_that_will_not_go_on_are_followed_to_their_end_only(call, made) -> None:
    (made["stopped"].folder / "log.txt").write_text("saved\n")
    code, text, _ = call("logs", made["stopped"].key, "-f")
    assert code == 0 and text == "saved\n"


def test_retry_starts_a_parent_before_its_child(made, tmp_path: Path) -> None:
    parent = make_job(tmp_path / "out", "sft")
    child = make_job(tmp_path / "out", "a-child", parent)
    for job in (child, parent):
        end(job, "failed")
    jobs = sweep_cli._jobs([child.folder, parent.folder])
    assert [job.key for job in jobs] == [parent.key, child.key]
    assert jobs[1].parents == (jobs[0],)


def test_retry_starts_all_parents_before_their_child(made, tmp_path: Path) -> None:
    sft, responses = make_job(tmp_path / "out", "sft"), make_job(tmp_path / "out", "responses")
    model = make_job(tmp_path / "out", "b-model", responses)
    child = make_job(tmp_path / "out", "a-child", sft, model)
    for job in (child, model, responses, sft):
        end(job, "failed")
    jobs = {job.key: job for job in sweep_cli._jobs([child.folder, model.folder, responses.folder, sft.folder])}
    assert jobs[child.key].parents == (jobs[sft.key], jobs[model.key])
    assert jobs[model.key].parents == (jobs[responses.key],)


def test_a_reason_of_many_runs_is_told_once(tmp_path: Path) -> None:
    for seed in range(5):
        end(make_job(tmp_path, "same", seed=seed), "failed", error=f"{'word ' * 40}no such column")
    found = statuses(tmp_path, None, Queue(jobs={}, known=True, tasks={}, final={}))
    console = Console(record=True, width=80, file=io.StringIO())
    show_statuses(console, found)
    assert console.export_text().count("no such column") == 1


def test_only_a_launch_that_was_refused_loses_its_note(tmp_path: Path) -> None:
    path = tmp_path / "launch.json"
    with noted_launch(tmp_path, {"launch.json": "good"}):
        pass
    before = path.read_text()
    with pytest.raises(Refused), noted_launch(tmp_path, {"launch.json": "typo", "new": "typo"}):
        raise Refused("a partition", "another", "hydra.launcher.partition")
    assert path.read_text() == before and not (tmp_path / "new").exists()
    with pytest.raises(UserError), noted_launch(tmp_path, {"launch.json": "later"}):
        raise UserError("a squeue that does not answer", "an answer", "nothing")
    assert "later" in path.read_text()


def test_runs_that_lie_in_another_sweep_are_shown_and_left_alone(call, made, tmp_path: Path) -> None:
    outputs = tmp_path / "out"
    runs.note_elsewhere(outputs, "second", {made[name].key: made[name].folder for name in ("done", "failed")})
    _, text, _ = call("status", "--sweep", "second")
    assert made["done"].key in text and "2 runs: 1 done, 1 failed" in text
    assert "nothing" in call("retry", "--sweep", "second")[1]
    assert "nothing" in call("clean", "--sweep", "second", "--yes")[1]
    runs.note_elsewhere(outputs, "second", {made["lost"].key: made["lost"].folder})  # adds to what was known
    assert len(runs.sweep_runs(outputs, "second")) == 3
