"""Jobs are killed, fail, are preempted, lose their node: others go on, and a run ends as if nothing had happened."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from product import Product, finish, processes, record, rows, step, wait_for
from safetensors.torch import load_file

from rftlab.sweeps.slurm import scheduler

pytestmark = pytest.mark.slurm


def test_failures_are_named_and_retried_and_the_others_finish(slurm_accounting: Cluster, tmp_path: Path) -> None:
    product = Product(slurm_accounting, tmp_path)
    missing = "0123456789ab"
    grids = f"hydra.sweeper.grids=[{{seed: '1,2'}}, {{seed: 3, init_from: '{missing}'}}]"
    process = product.start(grids, iterations=20)
    wait_for(lambda: len(product.folders()) == 3)
    by_seed = {record_of_seed(folder): folder for folder in product.folders()}
    good, victim, raising = by_seed[1], by_seed[2], by_seed[3]
    (array,) = wait_for(lambda: [note for note in product.arrays() if note["job_id"]])
    tasks = {Path(folder): f"{array['job_id']}_{index}" for index, folder in enumerate(array["folders"])}
    wait_for(lambda: step(victim) >= 2)
    (pid,) = processes(tasks[victim])
    os.kill(pid, signal.SIGKILL)
    answer = finish(process)
    assert answer.code == 1, answer
    for folder in (victim, raising):
        assert str(folder / "log.txt") in answer.text
    assert str(good / "log.txt") not in answer.text
    assert f"init_from={missing}" in answer.text
    states = {"COMPLETED": [good], "FAILED": [victim, raising]}
    expected = {tasks[folder]: state for state, folders in states.items() for folder in folders}
    wait_for(lambda: scheduler.accounting(list(expected)) == expected)
    found = {Path(run["folder"]): run for run in product.status()}
    assert [found[folder]["state"] for folder in (good, victim, raising)] == ["done", "lost", "failed"]
    assert "SLURM: FAILED" in found[victim]["detail"]

    retried = product.cli("retry")
    assert retried.code == 1, retried
    assert [record(folder)["attempt"] for folder in (good, victim, raising)] == [1, 2, 2]
    assert product.states() == ["done", "done", "failed"]
    assert min(row["step"] for row in rows(victim) if row["attempt"] == 2) > 0


def record_of_seed(folder: Path) -> int:
    lines = (folder / "config.yaml").read_text().splitlines()
    return next(int(line.removeprefix("seed: ")) for line in lines if line.startswith("seed: "))


def test_signals_preemption_and_the_death_of_a_node_change_no_result(slurm: Cluster, tmp_path: Path) -> None:
    whole = Product(slurm, tmp_path / "whole")
    local = [part for part in whole.command("seed=0,1,2", iterations=16) if not part.startswith("hydra")]
    broken = Product(slurm, tmp_path / "broken")
    process = broken.start("seed=0,1,2", iterations=16, cpus_per_task=2)  # each on a node of its own
    wait_for(lambda: len(broken.folders()) == 3)
    by_seed = {record_of_seed(folder): folder for folder in broken.folders()}
    (array,) = wait_for(lambda: [note for note in broken.arrays() if note["job_id"]])
    tasks = {record_of_seed(Path(folder)): f"{array['job_id']}_{i}" for i, folder in enumerate(array["folders"])}

    wait_for(lambda: processes(tasks[0]))
    slurm.call("scancel", "--signal=USR2", tasks[0])  # too early to be heard, and no harm
    wait_for((by_seed[0] / "log.txt").exists)
    slurm.call("scancel", "--signal=USR2", tasks[0])  # while it imports

    wait_for(lambda: step(by_seed[1]) >= 2 and step(by_seed[2]) >= 2)
    lost_node = node(tasks[2])
    slurm.kill_node(lost_node)
    urgent = slurm.call(
        "sbatch", "--parsable", "--output=/dev/null", "--partition=urgent", "--exclusive",
        f"--nodelist={node(tasks[1])}", "--wrap=sleep 1",
    )  # fmt: skip
    wait_for(lambda: attempt(by_seed[0]) >= 1 and step(by_seed[0]) >= 3)
    for _ in range(2):
        slurm.call("scancel", "--signal=USR2", tasks[0])
    wait_for(lambda: urgent not in broken.queue())
    subprocess.run(local, cwd=whole.root, env=whole.env, check=True, capture_output=True)

    answer = finish(process)
    assert answer.code == 0, answer
    assert broken.states() == ["done"] * 3
    reference = {record_of_seed(folder): folder for folder in whole.folders()}
    for seed, folder in by_seed.items():
        assert record(folder, "DONE")["final"] == record(reference[seed], "DONE")["final"]
        weights, expected = (load_file(path / "final/model.safetensors") for path in (folder, reference[seed]))
        assert all(bool((weights[name] == expected[name]).all()) for name in expected)
        assert metrics(folder) == metrics(reference[seed])
        resumed = [row["step"] for row in rows(folder) if row["attempt"] == attempt(folder)]
        before = [row["step"] for row in rows(folder) if row["attempt"] < attempt(folder)]
        assert 0 < min(resumed) <= max(before) + 1
    assert attempt(by_seed[1]) == attempt(by_seed[2]) == 2
    assert record(by_seed[1])["restart"] >= 1
    log = (by_seed[0] / "log.txt").read_text()
    assert log.count("requeued") == 2, log
    assert log.count("stopped: SIGUSR2") == 2


def node(task: str) -> str:
    return (scheduler.queue() or {})[task].node


def attempt(folder: Path) -> int:
    return record(folder).get("attempt", 0)


def metrics(folder: Path) -> dict[tuple[int, str], Any]:
    """Return the last value of each metric, but times."""
    return {
        (row["step"], name): value
        for row in rows(folder)
        for name, value in row["metrics"].items()
        if not name.startswith(("time/", "system/", "perf/"))
    }
