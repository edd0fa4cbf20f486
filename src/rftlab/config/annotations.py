"""What an annotation says of the value that a config gives: its type for OmegaConf, its range, its choices."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from rftlab.config.signatures import Reference
from rftlab.ranges import ByBuilder, Rule

PLAIN = (bool, int, float, str)


@dataclass(frozen=True)
class Meaning:
    """The type that OmegaConf enforces, what else must hold, and where the fields of a mapping are declared."""

    kind: Any
    rules: tuple[Rule, ...] = ()
    nested: str | None = None  # dotted path of a class
    given: bool = False  # by the builder, never by a config


def meaning(hint: Any) -> Meaning:
    """Read an annotation; what OmegaConf cannot enforce counts as `Any`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(arguments)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is Literal:
        return _choice(arguments)
    if origin in (list, Sequence) or (origin is tuple and arguments[-1] is Ellipsis):
        return _items(meaning(arguments[0]))
    if origin is tuple:
        return _tuple([meaning(argument) for argument in arguments])
    if hint in (dict, Mapping) or origin in (dict, Mapping):
        return Meaning(dict[str, Any])
    if isinstance(hint, type) and issubclass(hint, Reference):
        return Meaning(Any, nested=hint.target)
    if hint is Path:
        return Meaning(str)
    return Meaning(hint if hint in PLAIN else Any)


def _annotated(arguments: tuple[Any, ...]) -> Meaning:
    inner, *said = arguments
    found = meaning(inner)
    rules = tuple(item for item in said if isinstance(item, Rule))
    given = any(isinstance(item, ByBuilder) for item in said)
    return replace(found, rules=(*found.rules, *rules), given=found.given or given)


def _union(arguments: tuple[Any, ...]) -> Meaning:
    """Read `X | None`, or several types that are one in a config, as a path and a text are."""
    found = [meaning(argument) for argument in arguments if argument is not types.NoneType]
    kinds = {item.kind for item in found}
    first = found[0] if len(kinds) == 1 else Meaning(Any)
    if len(found) == len(arguments):
        return first
    return replace(first, kind=first.kind | None, rules=tuple(replace(rule, of_null=False) for rule in first.rules))


def _choice(options: tuple[Any, ...]) -> Meaning:
    kinds = {type(option) for option in options}
    rule = Rule(" or ".join(map(str, options)), options.__contains__)
    return Meaning(kinds.pop() if len(kinds) == 1 else Any, (rule,))


def _items(item: Meaning) -> Meaning:
    return Meaning(list[item.kind], tuple(map(_each, item.rules)))


def _tuple(items: list[Meaning]) -> Meaning:
    count = Rule(f"{len(items)} values", lambda values: len(values) == len(items))
    alike = items[0].rules if all(item.rules == items[0].rules for item in items) else ()
    kinds = tuple(item.kind for item in items)
    return Meaning(tuple.__class_getitem__(kinds), (count, *map(_each, alike)))


def _each(rule: Rule) -> Rule:
    return Rule(f"{rule.expected}, each of them", lambda values: all(rule.holds(value) for value in values))
