"""A disk that is full in the middle of a run: one line that says so, and the same command ends the run later."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands.test_kill import ROOT, TINY, outcome


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that holds the small files of a run and no checkpoint."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_run_that_met_a_full_disk_resumes_when_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    def run(outputs: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "src/train.py", *TINY, "algo=ppo", "data=narrativeqa", f"paths.outputs={outputs}"]
        environment = os.environ | {"PYTHONPATH": "src"}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)

    full = run(small_disk)
    assert full.returncode == 1  # it was begun
    assert "cannot write" in full.stderr and "paths.outputs" in full.stderr
    assert "Traceback" not in full.stderr
    assert not list(small_disk.glob("*/*/DONE"))
    subprocess.run(["mount", "-o", "remount,size=500m", str(small_disk)], check=True)
    assert run(small_disk).returncode == 0
    assert run(tmp_path / "whole").returncode == 0
    (final, weights), (whole_final, whole_weights) = outcome(small_disk), outcome(tmp_path / "whole")
    assert final == whole_final
    assert all(bool((weights[name] == whole_weights[name]).all()) for name in weights)
