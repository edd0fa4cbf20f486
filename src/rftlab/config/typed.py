"""Types for what a YAML file holds, from the class or function that each `_target_` names.

A node becomes a structured config of OmegaConf with the keys that the file gives: later files and the command line can
change their values, within the types, and can add none. Ranges and choices stay with the fields, for `ranges_of`.
"""

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from functools import cache
from typing import Any, NoReturn

from omegaconf import MISSING, DictConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rftlab.config.annotations import Meaning, meaning
from rftlab.config.schema import ELSEWHERE
from rftlab.config.signatures import NotFoundError, signature
from rftlab.errors import UserError
from rftlab.ranges import Rule

OF_HYDRA = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")
WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
Keys = tuple[str, ...]
Place = Callable[[Keys], str]  # file and line of a key


@dataclass(frozen=True)
class Declared:
    """Where the fields of a mapping without `_target_` are declared.

    Of several classes (dotted paths) that one counts whose fields are most like the keys.
    """

    classes: tuple[str, ...]
    filled: bool = False  # fields that the file lacks are there, without a value
    besides: tuple[str, ...] = ()  # other keys that the mapping may have


@dataclass(frozen=True)
class Takes:
    """What a class or function takes from a config."""

    meanings: Mapping[str, Meaning]
    required: Collection[str]


def typed(node: DictConfig, place: Place, declared: Declared | None = None, keys: Keys = ()) -> DictConfig:
    """Return the node with types; a mapping without `_target_` keeps none, unless `declared` says which.

    Raises:
        UserError: A `_target_` that does not exist, a key that it does not take, a key that is not there, or a value of
            another type.
    """
    name = _target(node) or (_closest(declared, node) if declared else None)
    takes = _takes(name, place, (*keys, "_target_")) if name is not None else None
    _type_children(node, takes, place, declared, keys)
    if name is None:
        return node
    if takes is None:  # its source does not say what it takes
        takes = Takes({str(key): Meaning(Any) for key in node}, ())
    _check_known(node, takes, declared, place, keys)
    lacking = [key for key in takes.required if key not in set(node)]
    if declared is None or not declared.filled:
        _check_complete(node, lacking, place, keys)
        lacking = []
    made = OmegaConf.structured(
        _structure(name, tuple((k, *_field(node, k, takes)) for k in [*map(str, node), *lacking]))
    )
    try:
        made.merge_with(node)
    except OmegaConfBaseException as error:
        _refuse_value(node, takes, place, keys, error)
    return made


def _type_children(node: DictConfig, takes: Takes | None, place: Place, declared: Declared | None, keys: Keys) -> None:
    """Give types to the mappings in a mapping: by their own `_target_`, or else as the annotation of the field says."""
    filled = declared is not None and declared.filled
    for key, child in list(node.items_ex(resolve=False)):
        if not _is_mapping(child) or is_dataclass(OmegaConf.get_type(child)):
            continue
        nested = takes.meanings[str(key)].nested if takes and key in takes.meanings else None
        if nested and _target(node) and not _target(child):
            child["_target_"] = nested
        node[key] = typed(child, place, Declared((nested,), filled) if nested else None, (*keys, str(key)))


def ranges_of(cfg: DictConfig, prefix: str = "") -> Iterator[tuple[str, Rule]]:
    """Give every key below a node whose value has a range or choices, with what must hold."""
    kind = OmegaConf.get_type(cfg)
    rules = {f.name: f.metadata.get("rules", ()) for f in fields(kind)} if is_dataclass(kind) else {}
    for name, child in cfg.items_ex(resolve=False):
        yield from ((f"{prefix}{name}", rule) for rule in rules.get(name, ()))
        if _is_mapping(child):
            yield from ranges_of(child, f"{prefix}{name}.")


def ranges_of_target(target: str) -> Iterator[tuple[str, Rule]]:
    """Give every argument of a target that has a range or choices, with what must hold."""
    takes = takes_of(ELSEWHERE.get(target, target))
    for key, said in takes.meanings.items() if takes else ():
        yield from ((key, rule) for rule in said.rules)


def _is_mapping(node: Any) -> bool:
    return isinstance(node, DictConfig) and not (node._is_none() or node._is_missing() or node._is_interpolation())


def _target(node: DictConfig) -> str | None:
    found = node._get_node("_target_")
    value = found._value() if isinstance(found, Node) else None
    return value if isinstance(value, str) and value != MISSING else None


def _takes(name: str, place: Place, keys: Keys) -> Takes | None:
    try:
        return takes_of(ELSEWHERE.get(name, name))
    except NotFoundError as error:
        raise error.refusal(f"{place(keys)}: ", ".".join(keys)) from None


@cache
def takes_of(name: str) -> Takes | None:
    """Return what a class or function takes, None where its source does not say.

    Raises:
        NotFoundError: There is no such module, or no such name in it.
    """
    parameters = signature(name)
    if parameters is None:
        return None
    meanings = {key: found for key, taken in parameters.items() if not (found := meaning(taken.hint)).given}
    return Takes(meanings, tuple(key for key in meanings if parameters[key].required))


def _closest(declared: Declared, node: DictConfig) -> str | None:
    def distance(name: str) -> int:
        takes = takes_of(name)
        assert takes is not None, name
        return len(set(node) - set(takes.meanings)) + len(set(takes.required) - set(node))

    return min(declared.classes, key=distance, default=None)


def _check_known(node: DictConfig, takes: Takes, declared: Declared | None, place: Place, keys: Keys) -> None:
    known = {*takes.meanings, *OF_HYDRA, *(declared.besides if declared else ())}
    for key in map(str, node):
        if key not in known:
            near = difflib.get_close_matches(key, takes.meanings, n=1) or sorted(takes.meanings)
            full = ".".join((*keys, key))
            found = f"{place((*keys, key))}: key {full}, which {_target(node) or 'this group'} does not have"
            raise UserError(found, f"one of {', '.join(near)}" if len(near) > 1 else "".join(near) or "no keys", full)


def _check_complete(node: DictConfig, lacking: list[str], place: Place, keys: Keys) -> None:
    """Refuse a mapping that lacks keys; a `_partial_` target gets them where it is built."""
    if lacking and not node.get("_partial_"):
        full = [".".join((*keys, key)) for key in lacking]
        raise UserError(f"{place(keys)}: no {', '.join(full)}", "a value, or ??? where other files give it", full[0])


def _field(node: DictConfig, key: str, takes: Takes) -> tuple[Any, tuple[Rule, ...]]:
    """Return type and rules of a field; the type of a mapping whose fields are declared is that of the typed child."""
    said = takes.meanings.get(key, Meaning(str if key == "_target_" else Any))
    child = node._get_node(key)
    if said.nested is None:
        return said.kind, said.rules
    if isinstance(child, DictConfig) and _is_mapping(child):
        return OmegaConf.get_type(child), said.rules
    whole = _whole(said.nested)
    return whole | None if child is not None else whole, said.rules


def _whole(name: str) -> type:
    """Return the structure of a class with all its fields."""
    takes = takes_of(name)
    assert takes is not None, name
    return _structure(name, tuple((key, *_field(OmegaConf.create({}), key, takes)) for key in takes.meanings))


@cache
def _structure(name: str, described: tuple[tuple[str, Any, tuple[Rule, ...]], ...]) -> type:
    made = [(key, kind, field(default=MISSING, metadata={"rules": rules})) for key, kind, rules in described]
    return make_dataclass(name.rpartition(".")[2], made)


def _refuse_value(node: DictConfig, takes: Takes, place: Place, keys: Keys, error: OmegaConfBaseException) -> NoReturn:
    full = str(error.full_key)
    first = full.split(".")[0].split("[")[0]
    kind = takes.meanings[first].kind if first in takes.meanings else Any
    words = next((text for plain, text in WORDS.items() if kind in (plain, plain | None)), "a value of its type")
    found = node._get_node(first)
    shown = ".".join((*keys, full))
    raise UserError(f"{place((*keys, first))}: {shown}={found}", words, shown) from None
