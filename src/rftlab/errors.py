"""The exception for every mistake that is the user's to fix, and parsers of command lines that word theirs alike."""

import argparse
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from rftlab.place import as_typed

BAD_INPUT = 2


class UserError(Exception):
    """Say on one line what was found, what was expected, and which key to change."""

    def __init__(self, found: str, expected: str, change: str) -> None:
        self.found, self.expected, self.change = found, expected, change
        super().__init__(as_typed(f"{found}; expected {expected}; change {change}"))


class Unwritable(UserError):
    """A write failed: before anything has begun, or in the middle."""


def unwritable(path: Path | str, error: OSError, change: str, expected: str = "a writable folder") -> Unwritable:
    """Word a failed write (disk full, quota, permission) of `path`."""
    return Unwritable(f"cannot write {path}: {error.strerror or error}", expected, change)


def traceback_wanted() -> bool:
    """Tell whether the user asked for whole tracebacks.

    `HYDRA_FULL_ERROR` asks for them, except where `train` has set it for Hydra and kept the user's word aside.
    """
    return os.environ.get("RFTLAB_TRACEBACK", os.environ.get("HYDRA_FULL_ERROR")) == "1"


PHRASES = (  # of argparse, with what was found and, where that is known, expected
    (r"expected (?:one|at least one|\d+) arguments?", "{name} without its value", None),
    (r"unrecognized arguments: (.*)", "{0}, which is no flag or word of this command", None),
    (r"the following arguments are required: (.*)", "no {0}", None),
    (r"invalid choice: '?(.*?)'? \(choose from (.*)\)", "{name} {0}", "one of {1}"),
    (r"invalid int value: '(.*)'", "{name} {0}", "an integer"),
    (r"invalid float value: '(.*)'", "{name} {0}", "a number"),
    (r"invalid \w+ value: '(.*)'", "{name} {0}", None),
    (r"ignored explicit argument '(.*)'", "{name} with the value {0}", "{name} alone"),
    (r"ambiguous option: (\S+) could match (.*)", "{0}, the beginning of several flags", "one of {1}"),
    (r"not allowed with argument (.*)", "{name} with {0}", "one of them"),
)


def words_of(message: str, argument: str | None = None) -> tuple[str, str | None]:
    """Say in words like all others what argparse found, and what was expected; None where `--help` says that."""
    name = (argument or "").partition("/")[0]
    for pattern, found, expected in PHRASES:
        if match := re.fullmatch(pattern, message, re.DOTALL):
            said = [words.replace("'", "") for words in match.groups()]
            return found.format(*said, name=name), expected and expected.format(*said, name=name)
    return f"{name}: {message}" if name else message, None


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line like all others."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and end the process."""
        argument = re.match(r"argument ([^:]+): (.*)", message, re.DOTALL)
        found, expected = words_of(argument.group(2), argument.group(1)) if argument else words_of(message)
        expected = expected or f"what `{self.prog} --help` lists"
        print(f"error: {found}; expected {expected}; change the command", file=sys.stderr)
        sys.exit(BAD_INPUT)
