"""`sweep.py compare` and `sweep.py status` as they are typed: formats, filters, order, refusals."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console
from sweeps.finished import Y, done, failed, grid, job_of

from rftlab.commands import status as status_command
from rftlab.commands import sweep as sweep_cli
from rftlab.launch.whole_sweep import Sweep, run_sweep
from rftlab.sweeps.asked import read_asked


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command on `tmp_path`; returns (exit code, standard output, standard error)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sweep.py", *arguments, "--outputs", str(tmp_path)])
        with pytest.raises(SystemExit) as stop:
            sweep_cli.main()
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    failed(job_of(tmp_path, 9), "no such column")
    return tmp_path


def test_every_format_has_the_same_means(call, sweep) -> None:
    told = {name: call("compare", f"--{name}")[1] for name in ("csv", "tex", "md", "json")}
    (comparison,) = json.loads(told["json"])
    rows = list(csv.DictReader(io.StringIO(told["csv"])))
    assert [cell["mean"] for cell in comparison["cells"]] == [float(row["mean"]) for row in rows]
    assert [row["optimizer.lr"] for row in rows] == ["0.0005", "0.0001"]
    assert rows[1]["failed"] == "1" and rows[1]["seeds"] == "0 1 2"
    for name in ("tex", "md"):
        assert all(f"{cell['mean']:.3f} [" in told[name] for cell in comparison["cells"])
    assert r"\toprule" in told["tex"] and "95 \\%" in told["tex"]


def test_a_table_says_n_and_what_is_not_counted(call, sweep) -> None:
    code, text, _ = call("compare", "--sweep", "sweep")
    assert code == 0 and "Best: optimizer.lr=0.0005" in text
    row = next(line for line in text.splitlines() if line.startswith("0.0001"))
    assert "1 failed" in row and " 3 " in row


def test_a_sweep_without_a_result_is_refused_in_one_line(call, tmp_path: Path) -> None:
    failed(job_of(tmp_path, 0), "no such column")
    code, _, error = call("compare")
    assert code == 2 and "no finished run" in error


def test_status_keeps_what_fits_all_conditions(call, sweep) -> None:
    _, text, _ = call("status", "--where", "optimizer.lr=1e-4", "--where", "seed=0,1")
    assert "2 runs: 2 done" in text and "5 others are not shown" in text
    assert "1 run: 1 failed" in call("status", "--failed")[1]
    assert "1 run: 1 failed" in call("status", "--where", "state=failed")[1]
    assert "7 runs: " in call("status", "--where", "algo=ppo")[1]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--where", "optimizer.rl=1"], "--where"),
        (["--where", "optimizer.lr"], "--where"),
        (["--sort", "nothing"], "--sort"),
        (["--watch", "--json"], "--watch"),
    ],
)
def test_conditions_on_what_no_run_has_are_refused(call, sweep, arguments: list[str], named: str) -> None:
    code, _, error = call("status", *arguments)
    assert code == 2 and error.endswith(f"change {named}\n")


def test_status_sorts_by_numbers_and_puts_runs_without_one_last(call, sweep) -> None:
    _, text, _ = call("status", "--sort", Y, "--reverse", "--json")
    found = json.loads(text)
    values = [run["metrics"].get(Y) for run in found]
    assert values[-1] is None and values[:-1] == sorted(values[:-1], reverse=True)
    assert found[0]["settings"]["optimizer.lr"] == 5e-4 and "optimizer.lr=0.0005" in found[0]["overrides"]
    assert found[0]["seed"] == 2 and found[0]["cost"]["seconds"] == 40.0


def test_watching_ends_when_nothing_is_under_way(call, sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    under_way = iter([("done",), ()])  # what counts as such at the next look
    monkeypatch.setattr(status_command, "UNDER_WAY", next(under_way))

    def asleep(seconds: float) -> None:
        waits.append(seconds)
        monkeypatch.setattr(status_command, "UNDER_WAY", next(under_way))

    monkeypatch.setattr(status_command.time, "sleep", asleep)
    code, text, _ = call("status", "--watch", "2")
    assert code == 0 and waits == [2.0] and text.count("7 runs: ") == 2


def test_a_sweep_ends_with_its_comparison_and_keeps_what_it_was_asked(tmp_path: Path) -> None:
    jobs = [job_of(tmp_path, seed, lr) for lr in (1e-4, 5e-4) for seed in (0, 1)]
    for job in jobs:
        done(job, job.config["optimizer"]["lr"] * 1000 + 0.01 * job.config["seed"])
    console = Console(record=True, width=200, file=io.StringIO())
    settings = Sweep(name="sweep", outputs=tmp_path, dry_run=False, page=False, config="")
    assert run_sweep(settings, jobs, Nothing(), console) == 0
    said = console.export_text()
    assert "Best: optimizer.lr=0.0005" in said and "sweep.py compare --sweep sweep" in said
    assert read_asked(tmp_path, "sweep").keys() == {job.key for job in jobs}


class Nothing:
    """A launcher that has nothing to do."""

    follows, gpus = True, 0

    def begin(self) -> None: ...

    def settings(self) -> dict:
        return {}

    def queued(self, outputs: Path) -> dict:
        return {}

    def run(self, jobs: object, queued: object, console: object) -> dict:
        raise AssertionError("everything is done")
