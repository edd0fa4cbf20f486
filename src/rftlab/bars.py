"""The progress of a long loop: a bar on a terminal, a line every minute elsewhere."""

import atexit
import logging
import sys
import time
from collections.abc import Generator, Iterable, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from rftlab import clock

T = TypeVar("T")
LINE_EVERY_S = 60.0
REDRAWS_PER_S = 2


class Rate(ProgressColumn):
    """How fast a loop goes."""

    def render(self, task: Task) -> Text:
        """Write steps per second, or seconds per step."""
        return Text(clock.rate(_seconds_per_step(task)), style="progress.data.speed", no_wrap=True)


class Left(ProgressColumn):
    """How long a loop still takes, and when by the clock it ends."""

    def render(self, task: Task) -> Text:
        """Write both, where they are known."""
        if task.time_remaining is None:
            return Text("")
        left = clock.duration(task.time_remaining)
        return Text(f"{left} left, ends {clock.end(task.time_remaining)}", style="progress.remaining", no_wrap=True)


def _seconds_per_step(task: Task) -> float | None:
    return 1 / task.speed if task.speed else None


def make_console(*, forced: bool = False) -> Console:
    """Return a console on stderr, for all loops that are one within the other; `forced` takes it for a terminal."""
    return Console(stderr=True, force_terminal=forced or None)


def track(
    items: Iterable[T], label: str, total: int | None = None, initial: int = 0, *, console: Console
) -> Generator[T]:
    """Yield the items, and show how far that is; the first of them is number `initial` + 1.

    `total` counts from 0, and is the number of items where these have one. A bar leaves the terminal when the loop
    ends; log lines appear above it.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    yield from (_with_bar if console.is_terminal else _with_lines)(items, label, total, initial, console)


def _with_bar(items: Iterable[T], label: str, total: int | None, initial: int, console: Console) -> Generator[T]:
    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True)), BarColumn(bar_width=12),
        MofNCompleteColumn(), TimeElapsedColumn(), Rate(), Left(),
    )  # fmt: skip
    before = sys.stdout, sys.stderr
    # what is no terminal is somebody's file or pipe, which the log shall reach
    progress = Progress(
        *columns, console=console, transient=True, refresh_per_second=REDRAWS_PER_S,
        redirect_stdout=sys.stdout.isatty(), redirect_stderr=sys.stderr.isatty(),
    )  # fmt: skip
    atexit.register(progress.stop)  # a loop that an error left unfinished gives the cursor back
    try:
        with progress, _logs_above(*before):
            task = progress.add_task(label, total=total, completed=initial)
            for item in items:
                yield item
                progress.advance(task)
    finally:
        atexit.unregister(progress.stop)


@contextmanager
def _logs_above(*streams: object) -> Generator[None]:
    """Let the log write where rich listens: a handler keeps the stream that it was made with."""
    own = [handler for handler in logging.root.handlers if isinstance(handler, logging.StreamHandler)]
    found = [handler for handler in own if handler.stream in streams]
    kept = [handler.stream for handler in found]
    for handler in found:
        handler.setStream(sys.stdout if handler.stream is streams[0] else sys.stderr)
    try:
        yield
    finally:
        for handler, stream in zip(found, kept, strict=True):
            handler.setStream(stream)


def _with_lines(items: Iterable[T], label: str, total: int | None, initial: int, console: Console) -> Generator[T]:
    started = told = time.monotonic()
    for number, item in enumerate(items, initial + 1):
        yield item
        now = time.monotonic()
        if now - told >= LINE_EVERY_S:
            told = now
            line = _line(label, number, total, now - started, number - initial)
            console.print(line, soft_wrap=True, highlight=False, markup=False)


def _line(label: str, number: int, total: int | None, elapsed: float, done: int) -> str:
    each = elapsed / done
    words = [f"{label} {number}" + ("" if total is None else f"/{total}"), clock.duration(elapsed), clock.rate(each)]
    if total is not None:
        left = each * (total - number)
        words += [f"{clock.duration(left)} left, ends {clock.end(left)}"]
    return "  ".join(words)
