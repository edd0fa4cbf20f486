"""What a sweep sends to MLflow when it ends: bounded, one line, and never at the cost of its end."""

import io
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console
from sweeps.finished import grid

from rftlab.launch import sweep_answer, sweep_end
from rftlab.tracking import parent

TRACKING = {"uri": "http://127.0.0.1:9", "send_every_s": 1.0, "close_timeout_s": 20.0}


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    return tmp_path


def said(outputs: Path, **changes: object) -> str:
    console = Console(width=400, file=io.StringIO())
    sweep_answer.send_at_end(outputs, "sweep", TRACKING | changes, console)
    return console.file.getvalue()


def test_a_server_that_is_away_is_one_line_with_the_command_that_sends_it(outputs):
    line = said(outputs)
    assert line.count("\n") == 1 and line.startswith("tracking: the comparison is not sent yet: MlflowException")
    assert f"`python src/sweep.py sync --sweep sweep --outputs {outputs}` sends it" in line


def test_a_server_that_never_answers_is_waited_for_as_long_as_the_setting_says(outputs, monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(sweep_answer, "_send", lambda *_: never.wait(60))
    start = time.monotonic()
    line = said(outputs, close_timeout_s=0.2)
    never.set()
    assert time.monotonic() - start < 10 and "takes longer than 0.2 s" in line


def test_without_tracking_nothing_is_sent_or_said(outputs, monkeypatch):
    monkeypatch.setattr(sweep_answer, "_send", lambda *_: pytest.fail("nobody asked for it"))
    assert said(outputs, uri=None) == ""


@pytest.mark.parametrize(
    ("uri", "where"), [("sqlite:///x.db", "make dashboard OUTPUTS="), (TRACKING["uri"], "--uri http")]
)
def test_the_last_line_says_where_to_look(outputs, monkeypatch, uri, where):
    monkeypatch.setattr(sweep_answer, "_send", lambda *words: words[-1].append(""))
    assert where in said(outputs, uri=uri)


def test_it_comes_after_comparison_and_page_and_not_for_very_many_runs(outputs, monkeypatch):
    console = Console(width=400, file=io.StringIO())
    monkeypatch.setattr(sweep_end, "send_at_end", lambda *words: words[-1].print("sent"))
    sweep_end.show_end(outputs, "sweep", console, page=False, tracking=TRACKING)
    assert console.file.getvalue().splitlines()[-1] == "sent"
    monkeypatch.setattr(sweep_end, "MOST_COMPARED", 5)
    console = Console(width=400, file=io.StringIO())
    sweep_end.show_end(outputs, "sweep", console, page=False, tracking=TRACKING)
    assert "sent" not in console.file.getvalue()


def test_what_was_sent_is_what_compare_says(outputs, monkeypatch):
    sent = []
    monkeypatch.setattr("rftlab.tracking.store.prepare", lambda *_: "a place")
    monkeypatch.setattr(parent, "send_answer", lambda answer, *_: sent.append(answer))
    said(outputs)
    assert sent[0].headline.startswith("Best: optimizer.lr=0.0005")
