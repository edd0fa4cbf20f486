"""Printing into `| head`: a reader that has seen enough is no error."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def reader_may_leave() -> Generator[None]:
    """End the block quietly when the reader of standard output has closed it; what is left is printed nowhere."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
