"""What a page tells of a sweep: what was asked, what became of it, how to repeat it."""

import json
from pathlib import Path

import pytest

from rftlab.sweeps.account import account
from rftlab.sweeps.status import Queue, statuses
from sweeps.finished import done, failed, grid, job_of

NO_QUEUE = Queue(jobs={}, known=True, tasks={}, final={})


def told(outputs: Path) -> dict:
    return account(outputs, "sweep", statuses(outputs, "sweep", NO_QUEUE, linked=True))


def environment(folder: Path, *command: str, time: float = 0.0, **facts: object) -> None:
    """Note what a run was made with."""
    packages = {"torch": "2.0", "rouge-score": None}
    attempt = {"command": list(command), "time": time, "packages": packages, **facts}
    (folder / "env.json").write_text(json.dumps({"attempts": [attempt]}))


def test_axes_seeds_and_states_are_those_of_the_runs(tmp_path: Path) -> None:
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    failed(job_of(tmp_path, 3, 1e-4), "no such column")
    asked = dict(told(tmp_path)["asked"])
    assert asked["runs"] == "7: 6 done, 1 failed"
    assert asked["axis optimizer.lr"] == "0.0001, 0.0005"
    assert asked["seeds"] == "0, 1, 2, 3" and "axis algo" not in asked


def test_the_comparison_is_that_of_the_command(tmp_path: Path) -> None:
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    (comparison,) = told(tmp_path)["comparisons"]
    assert comparison["answer"].startswith("Best: optimizer.lr=0.0005")
    assert comparison["classes"] == ["first best", ""] and comparison["rows"][0][0] == "0.0005"
    assert [len(keys) for keys in comparison["keys"]] == [3, 3]


def test_a_sweep_without_a_number_says_why_it_compares_nothing(tmp_path: Path) -> None:
    failed(job_of(tmp_path, 0), "no such column")
    found = told(tmp_path)
    assert found["comparisons"] == [] and "no finished run" in found["no_comparison"]


def test_runs_with_the_same_reason_are_told_together_with_the_end_of_a_log(tmp_path: Path) -> None:
    jobs = [failed(job_of(tmp_path, seed), "no such column") for seed in (0, 1)]
    failed(job_of(tmp_path, 2), "out of memory")
    for job in jobs:
        (job.folder / "log.txt").write_text("".join(f"line {n}\n" for n in range(100)))
    groups = {each["why"]: each for each in told(tmp_path)["unfinished"]}
    both = groups["no such column"]
    assert {key for _, key in both["runs"]} == {job.key for job in jobs} and len(groups["out of memory"]["runs"]) == 1
    assert both["log"].splitlines()[-1] == "line 99" and "line 80\n" not in both["log"]
    assert f"sweep.py logs {both['runs'][0][1]} --outputs {tmp_path}" in both["command"]


def test_commands_are_those_that_were_typed_and_quoted_for_a_shell(tmp_path: Path) -> None:
    grid(tmp_path, {1e-4: 0.5})
    folders = sorted((tmp_path / "sweep").iterdir())
    environment(folders[0], "src/train.py", "algo=ppo", "data.path=choice(a b)", "--multirun", time=2.0)
    environment(folders[1], "src/train.py", "-m", "algo=ppo", time=1.0)
    environment(folders[2], "slurm_worker.py", "3", time=0.0)  # of a cluster, which nobody typed
    expected = ["python src/train.py -m algo=ppo", "python src/train.py -m algo=ppo 'data.path=a b'"]
    assert told(tmp_path)["commands"] == expected


def test_a_command_is_printed_as_it_is_taken(tmp_path: Path) -> None:
    """`src/diagnose.py` adds its algorithm to what was typed, and refuses one that is."""
    job = done(job_of(tmp_path, 0), 0.5)
    environment(job.folder, "src/diagnose.py", "data=imdb", "algo=diagnose", "sweep.name=preflight")
    assert told(tmp_path)["commands"] == ["python src/diagnose.py data=imdb sweep.name=preflight"]


def test_the_last_launch_gives_the_command_where_no_run_noted_one(tmp_path: Path) -> None:
    grid(tmp_path, {1e-4: 0.5})
    overrides = {"hydra": ["hydra.mode=MULTIRUN", "hydra/launcher=slurm"], "task": ["seed=0,1"]}
    (tmp_path / "sweep" / "multirun.yaml").write_text(json.dumps({"hydra": {"overrides": overrides}}))
    assert told(tmp_path)["commands"] == ["python src/train.py -m hydra/launcher=slurm seed=0,1"]


def test_versions_say_how_many_runs_had_each_where_they_differ(tmp_path: Path) -> None:
    grid(tmp_path, {1e-4: 0.5})
    for place, folder in enumerate(sorted((tmp_path / "sweep").iterdir())):
        environment(folder, git_sha="aaa" if place else "bbb", git_dirty=not place, python="3.11")
    versions = dict(told(tmp_path)["versions"])
    assert versions["Python"] == "3.11" and versions["torch"] == "2.0" and "rouge-score" not in versions
    assert "commit aaa (2 runs)" in versions["code"] and "not committed" in versions["code"]
    assert ("the code of 2 of 3 runs", "git checkout aaa") in told(tmp_path)["repeat"]


def test_only_commands_that_have_something_to_do_are_named(tmp_path: Path) -> None:
    failed(job_of(tmp_path, 0), "no such column")
    assert {purpose for purpose, _ in told(tmp_path)["repeat"]} == {
        "what failed or was lost", "the figures, as PDF with their numbers", "this page",
    }  # fmt: skip
    grid(tmp_path, {1e-4: 0.5})
    assert "the comparison" in dict(told(tmp_path)["repeat"])


def test_a_run_alone_is_repeated_with_its_words_its_seed_and_its_place(tmp_path: Path) -> None:
    job = done(job_of(tmp_path, 3, 2e-4), 0.5)
    ((key, command),) = told(tmp_path)["run_commands"]
    assert key == job.key and command.startswith("python src/train.py algo=ppo optimizer.lr=0.0002")
    assert command.endswith(f"seed=3 sweep.name=sweep paths.outputs={tmp_path}")


@pytest.mark.parametrize(("scale", "source"), [("mini", "bundled"), ("paper", "hub")])
def test_scale_and_source_are_always_told(tmp_path: Path, scale: str, source: str) -> None:
    done(job_of(tmp_path, 0, scale=scale, data={"name": "imdb", "source": source}), 0.5)
    found = told(tmp_path)
    assert found["disclaimer"].startswith(f"Scale {scale}, {source} data")
    assert bool(found["warnings"]) == (source == "hub")  # rewarded by the embedded classifier
