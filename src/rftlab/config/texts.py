"""Texts that look like numbers: a key whose declared type is a text keeps the characters that the user wrote.

Hydra and YAML read a value before anybody knows what it is for: `init_from=12345e678901` would become infinity,
`sweep.name=1.10` a 1.1 and `name: 2026_11` a 202611. Such a value is quoted, on the command line, and restored, in a
file, if its key holds a text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from typing import Any, get_type_hints

import yaml
from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from rftlab.config.annotations import Meaning
from rftlab.config.options import groups, of_group
from rftlab.config.scales import GLOBAL, TABLES
from rftlab.config.schema import ELSEWHERE, GROUPS, ROOTS
from rftlab.config.signatures import NotFoundError
from rftlab.config.typed import takes_of
from rftlab.config.yaml_files import yaml_loader
from rftlab.errors import UserError

TEXTS = (str, str | None, list[str], list[str] | None)
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
RESOLVED = (*NUMBERS, "tag:yaml.org,2002:bool")  # what YAML makes of a plain word
KEPT = re.compile(r"[1-9]\d*|(0|[1-9]\d{0,9})\.(\d{0,4}[1-9]|0)")  # numbers that are written as they were read
PACKAGES = {"local": "hydra.launcher"}  # where files without a header go
LOOKS = re.compile(r"[+-]?(\.?\d|inf|nan)|true$|false$", re.IGNORECASE)  # what Hydra may make something else of
NO_PRESET = re.compile(r"\+*experiment=\s*['\"]?null['\"]?\s*", re.IGNORECASE)
LAUNCHER = ("hydra", "launcher")
FREE = (*LAUNCHER, "sbatch")  # a dictionary of options as a shell takes them
Place = tuple[str | int, ...]  # keys and numbers of items from the top of a file
LISTS = ("choice", "shuffle", "sort")  # functions of an override whose arguments are values of its key
TABLE_DEPTH = {"kinds": 2, "scales": 3, "reward": 0}  # keys of a table above those of the config


# --- what holds a text ----------------------------------------------------------------------------------------------


@cache
def is_text(key: str) -> bool:
    """Say whether the declared type of a dotted key is a text, or a list of texts."""
    parts = tuple(key.split("."))
    if len(parts) > 1 and (parts[-1] == "run" or parts[-2:] == ("parent", "overrides")):
        return True  # of whatever mapping: it names a run
    if parts[:2] == LAUNCHER:
        return _says_text(("hydra_plugins.rftlab_slurm.SlurmLauncher",), parts[2:])
    if parts[0] == "hydra":
        return _of_hydra(parts[1:])
    if _says_text(tuple(ROOTS.values()), parts) or _says_text(GROUPS.get(parts[0], ()), parts[1:]):
        return True
    below = ((target, parts[len(place) :]) for place, target in _targets(parts[0]) if place == parts[: len(place)])
    return any(_says_text((target,), rest) for target, rest in below)


def _says_text(classes: Sequence[str], parts: Sequence[str]) -> bool:
    for name in classes if parts else ():
        said = _meanings(name).get(parts[0])
        if said is None:
            continue
        if said.nested is not None and _says_text((said.nested,), parts[1:]):
            return True
        if len(parts) == 1 and said.kind in TEXTS:
            return True
    return False


def _meanings(target: str) -> Mapping[str, Meaning]:
    try:
        takes = takes_of(ELSEWHERE.get(target, target))
    except NotFoundError:  # refused where the file is read
        takes = None
    return {} if takes is None else takes.meanings


@cache
def _targets(group: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return every `_target_` in the files of a group and its place in a config, also those in tables."""
    if group not in groups():
        return ()
    found = (pair for node in of_group(group).values() for pair in _targets_in(node, (group,)))
    return tuple(dict.fromkeys(found))


def _targets_in(node: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(target := node.get("_target_"), str):
        depth = 1 + TABLE_DEPTH[place[1]] if place[1:2] and place[1] in TABLE_DEPTH else 0
        yield place[depth:], target
    for name, child in node.items():
        if isinstance(child, Mapping):
            yield from _targets_in(child, (*place, str(name)))


def _of_hydra(parts: Sequence[str]) -> bool:
    kind: Any = HydraConf
    for part in parts:
        kind = get_type_hints(kind).get(part) if is_dataclass(kind) else None
    return kind in TEXTS


# --- the command line -----------------------------------------------------------------------------------------------


def kept(override: str) -> str:
    """Quote the values of an override that Hydra would read as something else though the key holds a text."""
    key, equals, value = override.partition("=")
    if f".{key.lstrip('+~')}".endswith(".parent.overrides"):
        value = _quoted(value)
    return f"{key}={_kept(value, key.lstrip('+~').split('@')[0])}" if equals and "${" not in value else override


def without_null_preset(overrides: Sequence[str]) -> list[str]:
    """Leave out `experiment=null`, the default, and what it takes back: Hydra takes no null for an option."""
    last = max((number for number, text in enumerate(overrides) if NO_PRESET.fullmatch(text)), default=-1)
    before = (text for text in overrides[: max(last, 0)] if not re.match(r"\+*experiment=", text))
    return [*before, *overrides[last + 1 :]]


def _quoted(value: str) -> str:
    """Quote the words of another command line in a list, or in several lists."""
    parts = _split(value, ",")
    if len(parts) > 1:
        return ",".join(map(_quoted, parts))
    word = value.strip()
    if word[:1] == "[" and word[-1:] == "]":
        return f"[{_quoted(word[1:-1])}]"
    return f"'{word}'" if "=" in word and word[0] not in "'\"" else value


def _kept(value: str, key: str) -> str:
    parts = _split(value, ",")
    if len(parts) > 1:
        return ",".join(_kept(part, key) for part in parts)
    word = value.strip()
    if not word:
        return value
    if word[0] == "[" and word[-1] == "]":
        return f"[{_kept(word[1:-1], key)}]"
    if word[0] == "{" and word[-1] == "}":
        return f"{{{','.join(_kept_pair(part, key) for part in _split(word[1:-1], ','))}}}"
    if (call := re.fullmatch(r"(\w+)\((.*)\)", word)) and call.group(1) in LISTS:
        return f"{call.group(1)}({_kept(call.group(2), key)})"
    return f"'{word}'" if LOOKS.match(word) and _is_lost(word, key) else value


def _kept_pair(pair: str, key: str) -> str:
    name, colon, value = pair.partition(":")
    return f"{name}{colon}{_kept(value, f'{key}.{name.strip()}')}" if colon else pair


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside quotes and brackets."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote and not parts[-1].endswith("\\") else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{)]}":
            depth += 1 if letter in "([{" else -1
        elif letter == separator and depth == 0:
            parts.append("")
            continue
        parts[-1] += letter
    return parts


def _is_lost(word: str, key: str) -> bool:
    option = key in (*groups(), "sweep") or "/" in key  # Hydra would look for an option that is no text
    free = tuple(key.split("."))[: len(FREE)] == FREE
    if not (option or free or is_text(key)):
        return False
    try:
        value = _parser().parse_rule(word, "primitive")
    except HydraException:
        return False
    if option:
        return isinstance(value, bool | int | float)
    return isinstance(value, bool | int | float) and str(value) != word and not (free and isinstance(value, bool))


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


# --- files ----------------------------------------------------------------------------------------------------------


def restore(content: Any, text: str, file: str, package: str | None = None) -> None:
    """Put the characters of a file's `text` back into what was read of it, where a key holds a text or an axis.

    `package` is that of the file's header. An axis of a sweep is what stands after `KEY=` on a command line.

    Raises:
        UserError: A dictionary without types has a word that YAML makes another value of.
    """
    group = file.rpartition("/")[0]
    root = yaml.compose(text, Loader=yaml_loader())
    package = "" if package == GLOBAL else package or PACKAGES.get(group, group.replace("/", "."))
    for place, node in _scalars(root, ()):
        if node.tag in RESOLVED and not KEPT.fullmatch(node.value) and is_text(_key(place, group, package)):
            _put(content, place, node.value)
    if group == "sweep":
        for place, node in _axes(root, ()):
            _put(content, place, _axis(node))
    if "sbatch" in text:
        inside = FREE[len(package.split(".")) if package else 0 :]
        refuse_rewritten(text, inside, f"conf/{file}.yaml")


def refuse_rewritten(text: str, keys: Sequence[str], where: str) -> None:
    """Refuse words below `keys` that YAML makes other values of, in a dictionary whose keys have no types.

    Numbers to another base than ten are meant, those that would be written otherwise, and words for true and false.

    Raises:
        UserError: The word and its line in the file `where`, and how to write it.
    """
    for place, node in _scalars(yaml.compose(text, Loader=yaml_loader()), ()):
        if place[: len(keys)] != tuple(keys) or node.style or node.tag not in RESOLVED:
            continue
        value = yaml.load(node.value, yaml_loader())
        if (node.value in ("true", "false")) if isinstance(value, bool) else (str(value) == node.value):
            continue
        name = ": ".join(map(str, place[len(keys) - 1 :]))
        line = node.start_mark.line + 1 if node.start_mark else "?"
        found = f"{where}, line {line}: {name}: {node.value}, which YAML reads as {value}"
        or_true = ", or true for an option without a value" if isinstance(value, bool) else ""
        raise UserError(found, f"'{node.value}' in quotes{or_true}", where)


def _key(place: Place, group: str, package: str) -> str:
    """Return the dotted key of a place in a file, or in an entry of its tables."""
    names = [part for part in place if isinstance(part, str)]
    if names[0] in TABLES.get(group, ()):
        depth = TABLE_DEPTH.get(names[0], 1) - (names[2:3] == ["model"])
        return ".".join(names[depth:])
    return ".".join([*([package] if package else []), *names])


def _axes(node: yaml.Node, place: Place) -> Iterator[tuple[Place, yaml.Node]]:
    """Give what stands in `params`, and in each of `grids` and of those in `scales`, of a file with a sweep."""
    for name, child in node.value if isinstance(node, yaml.MappingNode) else ():
        here = (*place, name.value)
        if name.value == "params" and isinstance(child, yaml.MappingNode):
            yield from (((*here, axis.value), value) for axis, value in child.value)
        elif isinstance(child, yaml.SequenceNode) and (name.value == "grids" or place[-1:] == ("scales",)):
            grids = [(number, grid) for number, grid in enumerate(child.value) if isinstance(grid, yaml.MappingNode)]
            yield from (((*here, number, axis.value), value) for number, grid in grids for axis, value in grid.value)
        else:
            yield from _axes(child, here)


def _axis(node: yaml.Node, inside: bool = False) -> str:
    match node:
        case yaml.MappingNode():
            return f"{{{','.join(f'{name.value}:{_axis(child, True)}' for name, child in node.value)}}}"
        case yaml.SequenceNode():
            return f"[{','.join(_axis(child, True) for child in node.value)}]"
        case yaml.ScalarNode() if (
            inside and node.style
        ):  # libyaml's style of a plain word is '', the other parser's None
            return "'{}'".format(node.value.replace("'", r"\'"))
    return node.value


def _scalars(node: yaml.Node | None, place: Place) -> Iterator[tuple[Place, yaml.ScalarNode]]:
    match node:
        case yaml.MappingNode():
            for name, child in node.value:
                yield from _scalars(child, (*place, name.value))
        case yaml.SequenceNode():
            for number, child in enumerate(node.value):
                yield from _scalars(child, (*place, number))
        case yaml.ScalarNode():
            yield place, node


def _put(content: Any, place: Place, value: str) -> None:
    for part in place[:-1]:
        content = content[part]
    content[place[-1]] = value
