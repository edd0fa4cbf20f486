"""A finished sweep ends in its summary and exit code, whatever its comparison and its page do."""

import io
import subprocess
from pathlib import Path

import pytest
from rich.console import Console
from sweeps.finished import grid

from rftlab.launch import sweep_end
from rftlab.sweeps import comparison


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    return tmp_path


def ended(outputs: Path, *, page: bool = True) -> list[str]:
    """Return the lines that a sweep ends with."""
    console = Console(width=300, file=io.StringIO())
    sweep_end.show_end(outputs, "sweep", console, page=page)
    return console.file.getvalue().splitlines()


def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put something else where the command is that writes pages."""
    (tmp_path / "command.py").write_text(text)
    monkeypatch.setattr(sweep_end, "REPORT", [str(tmp_path / "command.py"), "report"])


@pytest.mark.parametrize("error", [RuntimeError("no luck\nat all"), KeyboardInterrupt(), ImportError("edited")])
def test_a_comparison_that_fails_is_one_line_with_the_command_that_shows_it(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(comparison, "compare", fail)
    (line,) = ended(outputs, page=False)
    assert line.startswith(f"not compared: {type(error).__name__}") and "at all" not in line
    assert f"`python src/sweep.py compare --sweep sweep --outputs {outputs}` tries again" in line


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import sys; print('error: no folder', file=sys.stderr); sys.exit(2)", "no page: no folder; `"),
        ("1 / 0", "no page: ZeroDivisionError: division by zero; `"),
        ("import os; os.kill(os.getpid(), 9)", "no page: exit code -9; `"),
    ],
)
def test_a_page_that_fails_is_one_line_after_the_comparison(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    script(tmp_path, monkeypatch, text)
    lines = ended(outputs)
    assert any("Best: optimizer.lr=0.0005" in line for line in lines)
    assert lines[-1].startswith(why) and "sweep.py report --sweep sweep" in lines[-1]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), subprocess.TimeoutExpired("x", 1), OSError("no process")])
def test_a_page_that_never_ends_is_left_out(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sweep_end.subprocess, "run", fail)
    assert ended(outputs)[-1].startswith(f"no page: {type(error).__name__}")


def test_the_page_is_asked_for_by_name_and_place(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, monkeypatch, "import sys; print('page:', *sys.argv[1:])")
    assert ended(outputs)[-1] == f"page: report --sweep sweep --outputs {outputs}"
    assert not any("page:" in line for line in ended(outputs, page=False))


def test_of_very_many_runs_the_commands_are_named(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_end, "MOST_COMPARED", 5)
    first, second = ended(outputs)
    assert "sweep.py compare" in first and "sweep.py report" in second
