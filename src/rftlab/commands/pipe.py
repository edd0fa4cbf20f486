"""Printing into `| head` or a full disk: what only prints ends there, and what works never does."""

import io
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import TextIO

from rftlab.errors import unwritable
from rftlab.place import as_typed

LEFT = "nobody reads the output any more; the work goes on without it (`python src/sweep.py status` tells of sweeps)"


LOST = 1  # exit code of what worked but could not be printed
UNPRINTED = 2  # and of what only prints


class _OutputLost(BaseException):
    """The output takes nothing any more; no handler of errors on the way, of logging for one, shall stop this."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Output(io.FileIO):
    """A file descriptor that takes everything and, once its reader has left or its disk is full, keeps nothing."""

    def __init__(self, handle: int, on_loss: Callable[[OSError], None]) -> None:
        """Write to `handle`, which stays open; `on_loss` is called once, with the error of the first failed write."""
        super().__init__(handle, "w", closefd=False)
        self._on_loss = on_loss
        self._lost = False

    def write(self, data) -> int | None:  # ty: ignore[incompatible-method-override]
        if self._lost:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._lost = True
            self._on_loss(error)
            return memoryview(data).nbytes


@contextmanager
def reader_may_leave() -> Generator[None]:
    """End the block when nobody takes its standard output, for what does nothing but print.

    It ends quietly where the reader has closed it, and with a line on standard error where a write failed.
    """

    def leave(error: OSError) -> None:
        raise _OutputLost(error)

    try:
        with _standing_in("stdout", leave):
            yield
    except _OutputLost as lost:
        if not isinstance(lost.cause, BrokenPipeError):
            print(_unwritable(lost.cause, "room for it"), file=sys.stderr)
            sys.exit(UNPRINTED)


@contextmanager
def outlive_reader() -> Generator[None]:
    """Let the block work on when nobody takes its output, and say so on standard error; what follows is lost.

    Where a write failed, and not the reader left, the process ends with another code than 0.
    """
    failed: list[OSError] = []

    def tell(error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            print(as_typed(LEFT), file=sys.stderr, flush=True)
            return
        failed.append(error)
        print(_unwritable(error, "room for it (the work goes on)"), file=sys.stderr, flush=True)

    with ExitStack() as both:
        both.enter_context(_standing_in("stderr", lambda error: None))
        both.enter_context(_standing_in("stdout", tell))
        yield
    if failed:
        sys.exit(LOST)


def _unwritable(error: OSError, expected: str) -> str:
    return f"error: {unwritable('the output', error, 'where the output goes', expected)}"


@contextmanager
def _standing_in(name: str, on_loss: Callable[[OSError], None]) -> Generator[None]:
    """Put an `_Output` in the place of `sys.stdout` or `sys.stderr`; a terminal, what is no file, and another, stay."""
    before: TextIO = getattr(sys, name)
    try:
        stays = before.isatty() or isinstance(getattr(before.buffer, "raw", None), _Output)
        handle = -1 if stays else before.fileno()
    except (AttributeError, OSError, ValueError):
        handle = -1
    if handle < 0:
        yield
        return
    before.flush()
    buffer = io.BufferedWriter(_Output(handle, on_loss))
    lines = name == "stderr"
    output = io.TextIOWrapper(buffer, encoding=before.encoding, errors=before.errors, line_buffering=lines)
    setattr(sys, name, output)
    try:
        yield
    finally:
        try:
            output.flush()
        finally:
            setattr(sys, name, before)
