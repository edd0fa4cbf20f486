"""What is not Linux: modules that only some systems have are asked for where they are used, and do without."""

import fcntl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rftlab import files, machine
from rftlab.files import FileLock, is_locked

ROOT = Path(__file__).parents[1]
# libraries may need these on Linux, and do without elsewhere: it is our modules that cannot have them
WITHOUT = """
import builtins, importlib, importlib.util, os, pkgutil, sys
ABSENT, OURS = ("fcntl", "resource"), ("rftlab", "hydra_plugins", "analysis")
taken, found = builtins.__import__, importlib.util.find_spec

def take(name, globals=None, *rest, **named):
    if name in ABSENT and (globals or {}).get("__name__", "").split(".")[0] in OURS:
        raise ImportError(f"no {name}")
    return taken(name, globals, *rest, **named)

builtins.__import__ = take
importlib.util.find_spec = lambda name, *rest: None if name in ABSENT else found(name, *rest)
import analysis, hydra_plugins, rftlab
failed = {}
for package in (rftlab, hydra_plugins, analysis):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith(("__main__", ".warm")) and not module.name.startswith("analysis.notebooks"):
            try:
                importlib.import_module(module.name)
            except Exception as error:
                failed[module.name] = repr(error)
assert not failed, failed
from rftlab import files
assert files.fcntl is None
print(sum(name.split(".")[0] in OURS for name in sys.modules))
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.slow  # torch, transformers, MLflow and seaborn, from the start
def test_every_module_is_imported_without_what_only_some_systems_have() -> None:
    done = python(WITHOUT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 300


def test_a_machine_that_tells_nothing_has_cpus_and_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(machine.sys, "platform", "elsewhere")
    monkeypatch.delattr(machine.os, "sysconf")
    assert machine.usable_cpus() >= 1
    assert machine.memory_bytes() is None and machine.peak_resident_mib() is None


def test_memory_is_counted_in_what_each_system_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    on_linux = machine.peak_resident_mib()
    assert on_linux is not None and 10 < on_linux < 100_000
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    in_bytes = machine.peak_resident_mib()
    assert in_bytes is not None and on_linux / in_bytes == pytest.approx(1024, rel=0.1)


@pytest.mark.parametrize("shared", [True, False])
def test_a_look_tells_a_lock_that_is_held_from_a_free_one_and_leaves_it(
    shared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With locks that several may hold, as flock has, and with others."""
    if not shared:
        monkeypatch.setattr(files, "fcntl", None)
    lock, path = FileLock(tmp_path / ".lock"), tmp_path / ".lock"
    assert not is_locked(path) and not path.exists()
    assert lock.take(0.0) and lock.held and is_locked(path)
    assert not FileLock(path).take(0.0)
    lock.release()
    assert not lock.held and not is_locked(path) and path.exists()
    assert FileLock(path).take(0.0)


def test_looks_do_not_take_each_other_for_a_holder(tmp_path: Path) -> None:
    """Two commands may list the same runs at once, and a reader need not have the right to write."""
    path = tmp_path / ".lock"
    path.touch(mode=0o444)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert not is_locked(path)


def test_a_lock_is_held_for_all_threads_of_a_process(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / ".lock")
    taker = threading.Thread(target=lock.take, args=(0.0,))
    taker.start()
    taker.join()
    assert lock.held and is_locked(tmp_path / ".lock")
    lock.release()
    assert not is_locked(tmp_path / ".lock")
