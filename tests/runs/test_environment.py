"""The record of what a run was made with."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rftlab.runs import environment as environment_module
from rftlab.runs.environment import MAX_DIFF_CHARS, code_version, environment
from rftlab.tracking.store import store_name


@pytest.fixture
def checkout(tmp_path):
    """Make a repository with one committed file."""

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *identity, "-C", str(tmp_path), *arguments], check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    (tmp_path / "code.py").write_text("a = 1\n")
    git("add", "code.py")
    git("commit", "-q", "-m", "first")
    return tmp_path.resolve(), git("rev-parse", "HEAD").strip()


def test_a_clean_checkout_is_its_commit(checkout):
    root, commit = checkout
    version = code_version(root)
    assert (version["git_sha"], version["git_dirty"], version["git_diff"]) == (commit, False, "")


def test_uncommitted_changes_are_stored_with_the_commit(checkout):
    root, commit = checkout
    (root / "code.py").write_text("a = 2\n")
    (root / "new.py").write_text("b = 1\n")
    version = code_version(root)
    assert (version["git_sha"], version["git_dirty"], version["git_untracked"]) == (commit, True, ["new.py"])
    assert "+a = 2" in str(version["git_diff"])


def test_a_huge_difference_is_cut_and_says_so(checkout):
    root, _ = checkout
    (root / "code.py").write_text("x = 1\n" * MAX_DIFF_CHARS)
    diff = str(code_version(root)["git_diff"])
    assert len(diff) < MAX_DIFF_CHARS + 20
    assert diff.endswith("[cut]\n")


def test_an_installed_copy_inside_another_checkout_does_not_borrow_its_commit(checkout):
    root, _ = checkout
    (root / "inner").mkdir()
    assert set(code_version(root / "inner").values()) == {None}


def test_the_record_is_plain_json_and_holds_no_credentials(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "tracking.uri=https://me:secret@host:5000"])
    record = environment()
    assert record["command"] == ["train.py", "tracking.uri=https://host:5000"]
    assert json.loads(json.dumps(record)) == record
    assert store_name("postgresql://me:secret@host/db") == "postgresql://host/db"


def test_the_version_of_a_process_is_that_of_the_code_it_has_imported(checkout):
    """A warm process asks when it imports; jobs that it forks after an edit run what it has, and say so."""
    root, commit = checkout
    package = Path(environment_module.__file__).parents[1]
    (root / "src" / "rftlab" / "runs").mkdir(parents=True)
    (root / "src" / "rftlab" / "runs" / "__init__.py").touch()  # the whole package would be no test of its age
    for name in ("runs/environment.py", "files.py", "errors.py", "place.py", "machine.py", "__init__.py"):
        shutil.copy(package / name, root / "src" / "rftlab" / name)
    (root / ".gitignore").write_text("src\n.gitignore\n")
    code = (
        "import os, sys; from pathlib import Path; from rftlab.runs.environment import environment\n"
        "first = environment()\n"
        "Path(sys.argv[1], 'code.py').write_text('a = 2')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    assert environment()['git_dirty'] is False, environment()\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0; print(first['git_sha'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], env=os.environ | {"PYTHONPATH": str(root / "src")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == commit, done.stderr
    assert code_version(root)["git_dirty"] is True
