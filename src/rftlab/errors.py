"""The exception for every mistake that is the user's to fix, and parsers of command lines that word theirs alike."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

BAD_INPUT = 2


class UserError(Exception):
    """Say on one line what was found, what was expected, and which key to change."""

    def __init__(self, found: str, expected: str, change: str) -> None:
        self.found, self.expected, self.change = found, expected, change
        super().__init__(f"{found}; expected {expected}; change {change}")


class Unwritable(UserError):
    """A write failed: before anything has begun, or in the middle."""


def unwritable(path: Path | str, error: OSError, change: str, expected: str = "a writable folder") -> Unwritable:
    """Word a failed write (disk full, quota, permission) of `path`."""
    return Unwritable(f"cannot write {path}: {error.strerror or error}", expected, change)


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line like all others."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and end the process."""
        print(f"error: {message}; expected what `{self.prog} --help` lists; change the command", file=sys.stderr)
        sys.exit(BAD_INPUT)
