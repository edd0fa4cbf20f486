"""The file beside the runs of a sweep: what it may say, and that the folders count."""

import json
import os
from pathlib import Path

import pytest

from rftlab import runs
from rftlab.runs import catalogue

CONFIG = "name: a\nseed: {seed}\nalgo: {{name: ppo, loop: {{iterations: 3}}}}\n"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Make enough finished runs for the file, older than a moment."""
    for seed in range(catalogue.FEWEST):
        folder = tmp_path / "s" / f"a-{seed:012x}"
        folder.mkdir(parents=True)
        write(folder / "config.yaml", CONFIG.format(seed=seed))
        write(folder / "DONE", json.dumps({"final": {"x": seed}, "cost": {"peak_mib": 5.0, "seconds_per_step": 2.0}}))
    return tmp_path


def write(path: Path, text: str, age: float = 60.0) -> None:
    path.write_text(text)
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))


def told(outputs: Path) -> list[tuple]:
    found = runs.find_runs(outputs)
    return [(run.key, run.config, run.state, run.final, run.cost, run.flat) for run in found]


def refuse(path: Path) -> dict:
    raise AssertionError(f"{path} is read again")


def test_what_the_file_says_is_what_the_folders_say_and_no_config_is_read_again(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = told(outputs)
    assert (outputs / "s" / catalogue.FILE).exists()
    monkeypatch.setattr("rftlab.runs.records._read_config", refuse)
    assert told(outputs) == before
    assert before[3][3:5] == ({"x": 3.0}, {"peak_mib": 5.0, "seconds": 6.0})


def test_a_folder_that_changed_is_read_again(outputs: Path) -> None:
    told(outputs)
    folder = outputs / "s" / f"a-{5:012x}"
    write(folder / "config.yaml", CONFIG.format(seed=7), age=50.0)
    assert runs.find_runs(outputs)[5].config["seed"] == 7
    write(folder / "DONE", json.dumps({"final": {"x": 9}}), age=50.0)
    assert runs.find_runs(outputs)[5].final == {"x": 9.0}
    (folder / "DONE").unlink()
    assert runs.find_runs(outputs)[5].state == "new"


def test_a_file_of_the_same_size_and_time_in_the_place_of_another_is_read(outputs: Path) -> None:
    told(outputs)
    path = outputs / "s" / f"a-{5:012x}" / "config.yaml"
    times = path.stat()
    other = path.with_name("other")
    other.write_text(path.read_text().replace("seed: 5", "seed: 8"))
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    assert runs.find_runs(outputs)[5].config["seed"] == 8


def test_what_was_written_in_this_moment_is_not_kept(outputs: Path) -> None:
    for path in outputs.glob("*/*/DONE"):
        write(path, path.read_text(), age=0.0)
    told(outputs)
    assert not (outputs / "s" / catalogue.FILE).exists()


def test_unfinished_runs_and_few_runs_are_not_kept(outputs: Path) -> None:
    (outputs / "s" / f"a-{0:012x}" / "DONE").unlink()
    told(outputs)
    assert not (outputs / "s" / catalogue.FILE).exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"version": 0, "runs": {}}', '{"version": 1, "runs": 3}'])
def test_a_file_that_is_no_index_is_written_anew(outputs: Path, content: str) -> None:
    before = told(outputs)
    (outputs / "s" / catalogue.FILE).write_text(content)
    assert told(outputs) == before
    assert len(json.loads((outputs / "s" / catalogue.FILE).read_text())["runs"]) == catalogue.FEWEST


def test_a_run_that_is_gone_is_not_told_of_and_leaves_the_file_with_the_next_writing(outputs: Path) -> None:
    told(outputs)
    folder = outputs / "s" / f"a-{5:012x}"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert len(told(outputs)) == catalogue.FEWEST - 1


def test_where_nothing_can_be_written_the_folders_are_read(outputs: Path) -> None:
    before = told(outputs)
    (outputs / "s" / catalogue.FILE).unlink()
    (outputs / "s" / catalogue.FILE).mkdir()  # no file can take its place
    assert told(outputs) == before


def test_a_config_that_json_does_not_give_back_is_read_from_its_folder(outputs: Path) -> None:
    for path in outputs.glob("*/*/config.yaml"):
        write(path, path.read_text() + "day: 2026-11-30\nnumbers: {1: a}\n")
    before = told(outputs)
    assert told(outputs) == before
    assert before[0][1]["numbers"] == {1: "a"}


def test_the_named_metrics_of_a_run_are_those_of_all(tmp_path: Path) -> None:
    folder = tmp_path / "s" / f"a-{0:012x}"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG.format(seed=0))
    lines = [{"step": step, "metrics": {"a": step, "b": -step, "c": 0.5}} for step in (1, 2, 2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = runs.read_run(folder)
    assert run.metrics({"a", "d"}) == [row for row in run.metrics() if row[1] == "a"] == [(1, "a", 1.0), (2, "a", 2.0)]
