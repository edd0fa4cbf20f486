"""The command `rftlab`: the files of a checkout and the installed program are the same commands."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from rftlab import __main__, entries, place
from rftlab.errors import UserError

ROOT = Path(__file__).parents[2]
FILES = sorted(path.stem for path in (ROOT / "src").glob("*.py"))


def said(*words: str, cwd: Path = ROOT) -> tuple[int, str, str]:
    environment = {"PYTHONPATH": f"{ROOT / 'src'}", "PATH": "/usr/bin:/bin", "COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_checkout_is_the_command_of_its_name(name: str) -> None:
    assert name in entries.commands()
    of_file, of_command = said(f"src/{name}.py", "--help"), said("-m", "rftlab", name, "--help")
    assert of_file == of_command and of_file[0] == 0 and len(of_file[1]) > 200


def test_help_lists_every_command_with_a_line() -> None:
    code, text, _ = said("-m", "rftlab", "--help")
    assert code == 0 and said("-m", "rftlab")[1] == text
    for name, line in entries.commands().items():
        assert f"  {name} " in text and len(line) > 20 and line in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_version_is_that_of_the_package() -> None:
    assert said("-m", "rftlab", "--version") == (0, f"rftlab {metadata.version('rftlab')}\n", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], "expected train;"),
        (["nothing-like-it"], "expected one of dashboard, diagnose,"),
        (["algo=ppo"], "expected rftlab train algo=ppo ...;"),
        (["-m", "algo=ppo"], "expected rftlab train -m ...;"),
        (["sweep", "stauts"], "expected one of status,"),
        (["figures", "--output"], "change the command"),
    ],
)
def test_what_is_no_command_is_one_line(words: list[str], expected: str, tmp_path: Path) -> None:
    code, out, error = said("-m", "rftlab", *words, cwd=tmp_path)
    (line,) = error.splitlines()
    assert (code, out) == (2, "") and line.startswith("error: ") and expected in line and "; change " in line


def test_messages_name_commands_as_they_can_be_typed_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "see `python src/sweep.py status`, or make small"
    monkeypatch.chdir(ROOT)
    assert place.as_typed(text) == text
    monkeypatch.chdir(tmp_path)
    assert place.as_typed(text) == "see `rftlab sweep status`, or make small"  # a checkout has its Makefile
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "sweep.py").touch()  # another project's
    assert place.program("sweep") == "rftlab sweep"
    monkeypatch.setattr(place, "INSTALLED", True)
    assert place.as_typed(text) == "see `rftlab sweep status`, or rftlab small"
    assert place.as_typed("python -m analysis.make_figures --list") == "rftlab figures --list"
    assert place.as_typed("make room for it") == "make room for it"
    assert str(UserError("a", "b", "`python src/train.py`")) == "a; expected b; change `rftlab train`"


def test_another_package_analysis_is_no_analysis_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "modules", {name: m for name, m in sys.modules.items() if name != "analysis"})
    with pytest.raises(UserError, match=r"another package `analysis` \(.*; expected that of rftlab, in .*PYTHONPATH"):
        entries.reach_analysis()


def test_a_working_directory_with_packages_of_these_names_is_not_looked_into(tmp_path: Path) -> None:
    for name in ("analysis", "hydra", "yaml"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('mine')\n")
    code, out, error = said("-m", "rftlab", "figures", "--help", cwd=tmp_path)
    assert (code, error) == (0, "") and "--outputs" in out


def test_a_shell_completes_the_words_of_train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = said("-m", "rftlab", "train", "-sc", "install=bash", cwd=tmp_path)[1]
    assert script.rstrip().endswith("hydra_bash_completion rftlab")
    started: list[list[str]] = []
    monkeypatch.setenv("COMP_LINE", "rftlab train data=im")
    monkeypatch.setattr(__main__, "start", lambda name: started.append([name, *sys.argv]))
    monkeypatch.setattr(sys, "argv", ["rftlab", "-sc", "query=bash"])
    __main__.main()
    assert (
        started == [["train", "rftlab", "-sc", "query=bash"]] and __main__.os.environ["COMP_LINE"] == "rftlab data=im"
    )
