"""The progress of a loop: the items as they are, a bar on a terminal, a line a minute elsewhere."""

import io
import logging
import sys
from collections.abc import Iterator

import pytest
from rich.console import Console

from rftlab import bars


def seen(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, no_color=True)


def hours(monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    """Let every look at the clock be so many seconds after the last one."""
    times = iter(range(10_000))
    monkeypatch.setattr(bars.time, "monotonic", lambda: next(times) * step_s)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_items_are_given_as_they_come(terminal: bool) -> None:
    assert list(bars.track(iter("abc"), "letters", console=seen(terminal))) == ["a", "b", "c"]
    assert list(bars.track([], "nothing", console=seen(terminal))) == []


def test_without_a_terminal_a_line_a_minute_says_how_far_how_fast_and_until_when(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hours(monkeypatch, 30.0)
    console = seen(terminal=False)
    list(bars.track(range(6, 10), "steps", total=10, initial=6, console=console))
    first, second = console.file.getvalue().splitlines()
    assert first.startswith("steps 8/10  0:01:00  30.0 s each  0:01:00 left, ends ")
    assert second.startswith("steps 10/10  0:02:00  30.0 s each  0:00:00 left, ends ")


def test_a_short_loop_without_a_terminal_says_nothing() -> None:
    console = seen(terminal=False)
    list(bars.track(range(100), "steps", console=console))
    assert console.file.getvalue() == ""


def test_on_a_terminal_a_bar_counts_from_where_the_loop_goes_on_and_leaves() -> None:
    console = seen(terminal=True)
    list(bars.track(range(6, 10), "steps", total=10, initial=6, console=console))
    text = console.file.getvalue()
    assert "steps" in text and "6/10" in text
    assert text.rstrip("\n").endswith("\x1b[2K")  # the line of the bar is empty again


def test_a_bar_within_a_bar_and_a_loop_that_is_left_early() -> None:
    console = seen(terminal=True)
    for _ in bars.track(range(2), "outer", console=console):
        for inner in bars.track(range(3), "inner", console=console):
            if inner == 1:
                break
    assert "outer" in console.file.getvalue() and "inner" in console.file.getvalue()
    assert console.file.getvalue().count("\x1b[?25l") <= console.file.getvalue().count(
        "\x1b[?25h"
    )  # the cursor is back


def test_an_error_in_the_loop_gives_the_cursor_back() -> None:
    console = seen(terminal=True)

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(bars.track(broken(), "steps", console=console))
    assert console.file.getvalue().rstrip("\n").rpartition("\x1b[?25")[2].startswith("h")


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Screen, io.StringIO])
def test_log_lines_go_above_a_bar_on_a_terminal_and_into_a_pipe_as_ever(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO]
) -> None:
    out, console = stream(), seen(terminal=True)
    monkeypatch.setattr(sys, "stdout", out)
    handler = logging.StreamHandler(out)
    logging.root.addHandler(handler)
    try:
        for _ in bars.track(range(1), "steps", console=console):
            logging.root.warning("a line")
        assert handler.stream is out
    finally:
        logging.root.removeHandler(handler)
    place = console.file if stream is Screen else out
    assert "a line" in place.getvalue()
