"""Mistakes on the command lines of the smaller commands are one line and exit code 2, without argparse's usage."""

import re
import sys
from collections.abc import Callable

import pytest

from analysis import learned, make_figures
from analysis.preflight import __main__ as preflight
from rftlab.commands import sweep
from rftlab.tracking import server

COMMANDS: dict[str, Callable[[list[str]], object]] = {
    "make_figures": lambda words: make_figures.parser().parse_args(words),
    "learned": lambda words: learned.parser().parse_args(words),
    "preflight": lambda words: preflight.parser().parse_args(words),
    "server": server.main,
    "sweep": lambda words: sweep.main(),
}
MISTAKES = [
    ("make_figures", ["--foo"]), ("make_figures", ["outputs"]), ("make_figures", ["--outputs"]),
    ("learned", ["--figures"]), ("learned", ["quickstart"]), ("preflight", []), ("preflight", ["--figures"]),
    ("server", ["--port", "x"]), ("server", ["--workers", "two"]), ("server", ["tracking"]),
    ("sweep", []), ("sweep", ["foo"]), ("sweep", ["status", "name"]), ("sweep", ["logs"]), ("sweep", ["--sweep", "x"]),
    ("sweep", ["status", "--outputs", "/nothing"]), ("sweep", ["sync", "--outputs", ".", "--uri", "foo"]),
]  # fmt: skip


@pytest.mark.parametrize(("command", "words"), MISTAKES)
def test_a_mistake_is_one_line(command: str, words: list[str], tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sweep.py", *words])
    with pytest.raises(SystemExit) as stop:
        COMMANDS[command](words)
    said = capfd.readouterr()
    assert stop.value.code == 2 and not said.out
    (line,) = said.err.splitlines()
    assert re.match(r"error: .*; expected .*; change ", line), line
    assert not re.search(r"expected one argument|unrecognized|following arguments|invalid|choose from", line), line
