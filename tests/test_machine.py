"""What the system tells of memory: of the machine, of the groups that limit this process, of GPUs."""

from pathlib import Path

import pytest

from rftlab import machine

GIB = 2**30


def group(folder: Path, limit: str, used: int, inactive: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\n")


def test_the_tightest_of_machine_and_groups_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo, own, groups = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "groups"
    meminfo.write_text(f"MemTotal: {16 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {12 * 2**20} kB\n")
    own.write_text("1:cpu:/other\n0::/job/step\n")
    for name, path in {"MEMINFO": meminfo, "OWN_GROUP": own, "GROUPS": groups}.items():
        monkeypatch.setattr(machine, name, path)
    assert machine.available_bytes() == 12 * GIB
    group(groups / "job" / "step", "max", 0, 0)  # no limit of its own
    group(groups / "job", str(8 * GIB), 5 * GIB, GIB)  # of what is used, files can be given back
    assert machine.available_bytes() == 4 * GIB
    group(groups / "job" / "step", str(2 * GIB), 3 * GIB, 0)
    assert machine.available_bytes() == 0
    own.write_text("1:cpu:/other\n")  # of the first version alone
    assert machine.available_bytes() == 12 * GIB
    meminfo.unlink()
    assert machine.available_bytes() == machine.memory_bytes()


def test_the_smallest_of_the_gpus_asked_for_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpu_bytes(["0"]) is None  # no nvidia-smi
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\n[ "$4" = 0,3 ] && echo 81559 && echo 40960\n')
    program.chmod(0o755)
    assert machine.gpu_bytes(["0", "3"]) == 40_960 * 2**20
    assert machine.gpu_bytes(["1"]) is None  # which it does not know
