"""The process that submits is killed, doubled or interrupted: no job is lost, none is submitted twice."""

import os
import signal
import stat
from pathlib import Path

import pytest
from cluster import Cluster
from product import HELD, Product, finish, record, step, wait_for

pytestmark = pytest.mark.slurm


def slow_sbatch(product: Product, folder: Path, before: float = 0, after: float = 0) -> None:
    """Let `sbatch` take its time, before and after SLURM has heard of it."""
    folder.mkdir()
    real = next(path for path in map(Path, product.env["PATH"].split(os.pathsep)) if (path / "sbatch").exists())
    script = folder / "sbatch"
    script.write_text(
        f"#!/bin/sh\ntouch {folder}/called; sleep {before}\n"
        f'{real}/sbatch "$@"\ntouch {folder}/answered; sleep {after}\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    product.env["PATH"] = f"{folder}{os.pathsep}{product.env['PATH']}"


@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_a_killed_submitter_loses_no_job_and_doubles_none(slurm: Cluster, tmp_path: Path, moment: str) -> None:
    product = Product(slurm, tmp_path)
    path, slow = product.env["PATH"], tmp_path / "slow"
    slow_sbatch(product, slow, **({"after": 60} if moment == "after" else {"before": 3}))
    first = product.start("seed=0,1", HELD, wait=False)
    wait_for((slow / ("answered" if moment == "after" else "called")).exists)
    if moment == "during":
        first.kill()  # sbatch lives on and submits later
    else:
        os.killpg(first.pid, signal.SIGKILL)  # sbatch dies with it
    first.communicate()
    assert [array["job_id"] for array in product.arrays()] == [None]
    assert len(product.queue()) == (2 if moment == "after" else 0)
    if moment == "after":
        assert product.states() == ["queued", "queued"]

    product.env["PATH"] = path
    second = product.sweep("seed=0,1", HELD, wait=False)
    assert second.code == 0, second
    assert ("submitted" in second.text) == (moment == "before"), second
    queue = product.queue()
    assert len(queue) == 2 and len(set(queue.values())) == 1, queue
    (array,) = product.arrays()
    assert {f"{array['job_id']}_{task}" for task in range(2)} == set(queue)
    assert product.states() == ["queued", "queued"]


def test_a_sweep_that_is_launched_three_times_at_once_is_submitted_once(slurm: Cluster, tmp_path: Path) -> None:
    product = Product(slurm, tmp_path)
    slow_sbatch(product, tmp_path / "slow", before=1, after=1)
    grid = ("seed=0,1", "heuristic=none,partial_sft")
    answers = [finish(process) for process in [product.start(*grid, HELD, wait=False) for _ in range(3)]]
    assert [answer.code for answer in answers] == [0, 0, 0], answers
    assert len(product.queue()) == 6
    keys = [key for array in product.arrays() for key in array["keys"]]
    assert len(keys) == len(set(keys)) == 6
    assert sum(answer.text.count("submitted array") for answer in answers) == len(product.arrays())


def test_an_interrupted_submitter_leaves_its_jobs_which_can_be_followed_and_cancelled(
    slurm: Cluster, tmp_path: Path
) -> None:
    product = Product(slurm, tmp_path)
    first = product.start("seed=0,1", iterations=1000)
    wait_for(lambda: len(product.folders()) == 2 and all(step(folder) >= 2 for folder in product.folders()))
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does
    answer = finish(first)
    assert answer.code == 130 and "the jobs stay in the queue" in answer.text, answer
    assert len(product.queue()) == 2
    assert product.states() == ["running", "running"]

    again = product.start("seed=0,1", iterations=1000)
    assert again.stdout is not None
    told = []
    while len(told) < 100 and sum(line.startswith("started") for line in told) < 2:
        told.append(again.stdout.readline())
    assert "submitted" not in "".join(told)
    assert sum(line.startswith("started") for line in told) == 2, "the same command does not follow the jobs"
    cancelled = product.cli("cancel", "--yes")
    assert cancelled.code == 0 and "cancelled 2 SLURM jobs" in cancelled.text, cancelled
    assert finish(again).code == 130
    for folder in product.folders():
        assert record(folder)["state"] == "stopped"
        assert record(folder)["attempt"] == 1
        assert (folder / f"checkpoints/step_{record(folder)['step']:08}.pt").exists()
    assert product.states() == ["stopped", "stopped"]
    assert not product.queue()
