"""A reward that is a Python function of the user's own: how it is named, and whether it is there."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab.config.reward_nodes import reward_nodes
from rftlab.config.signatures import NotFoundError, signature
from rftlab.errors import UserError

TARGET = re.compile(r"\+*reward\._target_=(.*)")
FUNCTION = re.compile(r"(?!rftlab\.)(?:[^\W\d]\w*(?:\.[^\W\d]\w*)+|[^:,]+\.py:[^\W\d]\w*)")
LOAD = "rftlab.rewards.function.load"
KEY = "reward.function or reward._target_"  # both name it


def with_own_function(overrides: Sequence[str]) -> list[str]:
    """Write `reward._target_=FUNCTION`, of the user's own, as `reward=function` with the function as a value.

    The keys of the default reward are those of another one. Where a reward is chosen, its keys stay: the target then
    takes them.
    """
    given = [match.group(1) for text in overrides if (match := TARGET.fullmatch(text))]
    chosen = any(re.match(r"\+*reward=", text) for text in overrides)
    if chosen or not given or not all(FUNCTION.fullmatch(word.strip(" '\"")) for word in given[-1].split(",")):
        return list(overrides)
    rest = [text for text in overrides if not TARGET.fullmatch(text)]
    return [*rest, "reward=function", f"reward.function={given[-1]}"]


def functions(reward: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give every function of the user's own that a reward names, itself or within, with the mapping that names it."""
    for _, node in reward_nodes(reward):
        if node["_target_"] == LOAD and isinstance(node.get("function"), str):
            yield node["function"], node


def file_of(function: str) -> tuple[Path, str] | None:
    """Return file and name of `FILE.py:NAME`; None of a dotted path."""
    place, _, name = function.rpartition(":")
    return (Path(place), name) if place.endswith(".py") else None


def check_functions(reward: Any) -> None:
    """Refuse a function of the user's own that is not there; nothing is imported.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    for function, _ in functions(reward):
        if (place := file_of(function)) is not None:
            _check_file(*place)
            continue
        try:
            signature(function)
        except NotFoundError as error:
            raise error.refusal("reward.function=", KEY) from None


def _check_file(path: Path, name: str) -> None:
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except FileNotFoundError:
        raise UserError(f"no file {path}", "FILE.py:NAME", KEY) from None
    except (OSError, SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UserError(f"{path}{line}: {getattr(error, 'msg', error)}", "Python", f"{path}, or {KEY}") from None
    there = [node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    if name not in there and name not in path.read_text(encoding="utf-8"):
        raise UserError(f"{path}, which has no {name}", " or ".join(there) or "a function", KEY)
