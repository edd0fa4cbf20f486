"""Asking a run to stop: a signal sets a flag, and the loop saves and ends at its next step boundary."""

import logging
import signal
import sys
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from types import FrameType, TracebackType

log = logging.getLogger("rftlab")

AGAIN_S = 0.3  # until a Ctrl-C that ended nothing comes again


class StopRequested(Exception):
    """The run has saved what it needs to resume and ends here; the text says who asked."""


def interrupted(error: BaseException | None) -> bool:
    """Say whether a Ctrl-C is behind an error: a library that is hit in the middle of something may raise another."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


@contextmanager
def exit_on_interrupt() -> Generator[None]:
    """End the process with code 130, without a word, where a Ctrl-C is behind what ends the block.

    A library may swallow a Ctrl-C: what OmegaConf has half built when it comes raises an `AttributeError` in its place,
    and `getattr` with a default asks no further. So a Ctrl-C comes again until it ends the block, or until whoever has
    taken over the signal hears of it.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)}
    if before[signal.SIGINT] is signal.default_int_handler:  # not where it is ignored, as behind nohup
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGALRM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    except BaseException as error:
        if not interrupted(error):
            raise
        sys.exit(130)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
    raise KeyboardInterrupt


class StopFlag:
    """Whether a run was asked to stop, and by what; loops read it at step boundaries."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.signals: set[int] = set()  # those that came

    @property
    def requested(self) -> bool:
        return self.reason is not None

    def request(self, reason: str) -> None:
        """Ask; the first reason is kept."""
        self.reason = self.reason or reason

    def check(self) -> None:
        """End the run where it was asked to stop; for places that have nothing to save.

        Raises:
            StopRequested: `request` was called.
        """
        if self.reason is not None:
            raise StopRequested(self.reason)


class StopOnSignals:
    """While the block runs, the first signal asks the run to stop; a second Ctrl-C ends it at once.

    Outside of the main thread signals cannot be caught, and nothing is changed.
    """

    def __init__(self, flag: StopFlag, signals: Iterable[signal.Signals]) -> None:
        self._flag = flag
        self._signals = tuple(signals)
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopFlag:
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                self._before[number] = signal.signal(number, self._ask)
        return self._flag

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # ty: ignore[invalid-argument-type]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if number == signal.SIGINT and self._flag.requested:
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            log.info("stopping at the next step; everything is saved (Ctrl-C again ends at once)")
        self._flag.signals.add(number)
        self._flag.request(name)
