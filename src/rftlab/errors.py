"""The exception for every mistake that is the user's to fix."""

from pathlib import Path


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
