"""Snapshots of the code: one per state of it, whoever takes it, and they say what they were made from."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rftlab.runs.environment import code_version
from rftlab.sweeps import snapshot
from rftlab.sweeps.snapshot import take_snapshot

SOURCE = Path(__file__).parents[2] / "src"


def test_a_snapshot_is_the_code_as_it_lies_there(tmp_path: Path) -> None:
    copy = take_snapshot(tmp_path)
    code = Path("rftlab/runs/attempt.py")
    names = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
    assert Path("train.py") in names and code in names
    assert (copy / code).read_bytes() == (SOURCE / code).read_bytes()
    assert (copy / code).stat().st_mtime_ns == (SOURCE / code).stat().st_mtime_ns  # compiled files rely on it
    assert code_version(copy.parent) == code_version(SOURCE.parent)  # the commit it was made from


def test_what_editors_and_installers_leave_is_not_code(tmp_path: Path) -> None:
    for name in ("a.py", ".a.py.swp", "a.py~", "x.egg-info/PKG-INFO", "__pycache__/a.pyc.1234", "__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(map(str, snapshot._files(tmp_path))) == ["__pycache__/a.pyc", "a.py"]


def test_a_snapshot_is_named_by_what_was_copied_though_somebody_edits_meanwhile(tmp_path: Path, monkeypatch) -> None:
    copy_files = snapshot._copy

    def copy_then_edit(source: Path, target: Path) -> None:
        copy_files(source, target)
        (target / "train.py").write_text("edited")

    monkeypatch.setattr(snapshot, "_copy", copy_then_edit)
    edited = take_snapshot(tmp_path)
    monkeypatch.undo()
    assert take_snapshot(tmp_path) != edited
    assert edited.parent.name == snapshot._digest(edited)


def test_the_same_code_is_copied_once_and_changed_code_anew(tmp_path: Path, monkeypatch) -> None:
    first = take_snapshot(tmp_path)
    assert take_snapshot(tmp_path) == first
    monkeypatch.setattr(snapshot, "_digest", lambda source: "0" * 12)
    assert take_snapshot(tmp_path) != first
    assert json.loads((first.parent / "snapshot.json").read_text())["git_sha"] == code_version(SOURCE.parent)["git_sha"]


def test_sweeps_that_take_it_at_once_get_the_same_whole_copy(tmp_path: Path, monkeypatch) -> None:
    numbers = iter(range(100, 200))
    monkeypatch.setattr(snapshot.os, "getpid", lambda: next(numbers))  # threads stand for processes
    with ThreadPoolExecutor(4) as pool:
        copies = set(pool.map(lambda _: take_snapshot(tmp_path), range(4)))
    (copy,) = copies
    assert (copy / "rftlab" / "runs" / "attempt.py").exists()
    assert [path.name for path in copy.parents[1].iterdir()] == [copy.parent.name]
