"""Printing into `| head`: a reader that has seen enough ends what only prints, and never what works."""

import io
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import TextIO

LEFT = "nobody reads the output any more; the work goes on without it (`python src/sweep.py status` tells of sweeps)"


class _ReaderLeft(BaseException):
    """The reader of the output has closed it; no handler of errors on the way, of logging for one, shall stop this."""


class _Output(io.FileIO):
    """A file descriptor that takes everything and, once its reader has left, keeps nothing."""

    def __init__(self, handle: int, on_leave: Callable[[], None]) -> None:
        """Write to `handle`, which stays open; `on_leave` is called once, when its reader is found to have left."""
        super().__init__(handle, "w", closefd=False)
        self._on_leave = on_leave
        self._left = False

    def write(self, data) -> int | None:  # ty: ignore[incompatible-method-override]
        if self._left:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            self._left = True
            self._on_leave()
            return memoryview(data).nbytes


@contextmanager
def reader_may_leave() -> Generator[None]:
    """End the block quietly when the reader of standard output has closed it; for what does nothing but print."""

    def leave() -> None:
        raise _ReaderLeft

    try:
        with _standing_in("stdout", leave):
            yield
    except _ReaderLeft:
        pass


@contextmanager
def outlive_reader() -> Generator[None]:
    """Let the block work on when a reader of its output leaves, and say so on standard error; what follows is lost."""

    def tell() -> None:
        print(LEFT, file=sys.stderr, flush=True)

    with ExitStack() as both:
        both.enter_context(_standing_in("stderr", lambda: None))
        both.enter_context(_standing_in("stdout", tell))
        yield


@contextmanager
def _standing_in(name: str, on_leave: Callable[[], None]) -> Generator[None]:
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
    buffer = io.BufferedWriter(_Output(handle, on_leave))
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
