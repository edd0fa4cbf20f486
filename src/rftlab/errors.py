"""The exception for every mistake that is the user's to fix."""

from pathlib import Path


class UserError(Exception):
    """Say on one line what was found, what was expected, and which key to change."""

    def __init__(self, found: str, expected: str, change: str) -> None:
        self.found, self.expected, self.change = found, expected, change
        super().__init__(f"{found}; expected {expected}; change {change}")


def unwritable(path: Path | str, error: OSError, change: str, expected: str = "a writable folder") -> UserError:
    """Word a failed write (disk full, quota, permission) of `path`."""
    return UserError(f"cannot write {path}: {error.strerror or error}", expected, change)
