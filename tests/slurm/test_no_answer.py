"""SLURM's commands are missing, fail or hang: words instead of a traceback, an end instead of a hang."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import Cluster
from product import HELD, Product

pytestmark = pytest.mark.slurm

Broken = Callable[[str, str], None]
HANGS = "exec sleep 1000"


@pytest.fixture
def product(slurm: Cluster, tmp_path: Path) -> Product:
    """Submit two jobs that wait."""
    product = Product(slurm, tmp_path)
    submitted = product.sweep("seed=0,1", HELD, wait=False)
    assert submitted.code == 0, submitted
    return product


@pytest.fixture
def break_command(product: Product, tmp_path: Path) -> Broken:
    """Put a script in the place of one of SLURM's commands."""
    folder = tmp_path / "broken"
    folder.mkdir()
    product.env["PATH"] = f"{folder}{os.pathsep}{product.env['PATH']}"

    def put(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return put


def test_a_squeue_without_an_answer_is_told_and_nothing_is_submitted(
    product: Product, break_command: Broken, tmp_path: Path
) -> None:
    break_command("squeue", "echo the controller is away >&2; exit 1")
    break_command("sbatch", f"touch {tmp_path}/called; exit 1")
    before = product.arrays()
    refused = product.sweep("seed=0,1,2", HELD, wait=False)
    assert refused.code == 2, refused
    assert refused.text.splitlines()[-1].startswith(
        "error: jobs that were submitted before, and a squeue that does not"
    )
    assert "Traceback" not in refused.text
    assert not (tmp_path / "called").exists()
    assert product.arrays() == before
    for command in (["retry"], ["cancel", "--yes"], ["clean", "--yes"]):
        answer = product.cli(*command)
        assert answer.code == 2 and "squeue that does not answer" in answer.text, answer
    assert len(product.queue()) == 2


def test_a_squeue_that_hangs_does_not_hang_the_status(product: Product, break_command: Broken) -> None:
    break_command("squeue", HANGS)
    started = time.monotonic()
    answer = product.cli("status")
    assert time.monotonic() - started < 20
    assert answer.code == 0 and "SLURM does not answer" in answer.text, answer
    assert "2 runs: 2 new" in answer.text


def test_a_sacct_that_hangs_does_not_hang_the_status(product: Product, break_command: Broken) -> None:
    product.cluster.call("scancel", product.arrays()[0]["job_id"])
    break_command("sacct", HANGS)
    started = time.monotonic()
    answer = product.cli("status")
    assert time.monotonic() - started < 20
    assert answer.code == 0 and "2 runs: 2 new" in answer.text, answer


def test_an_sbatch_that_refuses_leaves_no_trace(product: Product, break_command: Broken) -> None:
    before = product.arrays()
    break_command("sbatch", "echo 'sbatch: error: invalid partition specified' >&2; exit 1")
    refused = product.sweep("seed=0,1,2", HELD, wait=False)
    assert refused.code == 2, refused
    last = refused.text.splitlines()[-1]
    assert last.startswith("error: SLURM refuses the jobs") and "invalid partition specified" in last
    assert product.arrays() == before
    assert "sbatch: error" not in refused.text  # once, in our words
    assert "hydra.launcher.partition" in last
    assert product.states() == ["queued", "queued"]  # no folder, no note of a launch that never was
