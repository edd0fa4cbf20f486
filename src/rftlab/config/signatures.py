"""What a class or function takes, read from its source: nothing is imported, so that composition costs no torch.

A dataclass takes its annotated fields, another class the parameters of its `__init__`, a function its own, and
`name = record.method` those of the method. Annotations are evaluated with the names of their module; what comes from a
library that is not read here counts as `Any`.
"""

import ast
import builtins
import collections.abc
import difflib
import importlib.util
import pathlib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rftlab import ranges
from rftlab.errors import UserError

IMPORTED = {  # modules that cost nothing and whose names mean what they say
    "typing": typing,
    "collections.abc": collections.abc,
    "pathlib": pathlib,
    "rftlab.ranges": ranges,
}
Definition = ast.ClassDef | ast.FunctionDef


class NotFoundError(LookupError):
    """No such module, or no such name in a module; `name` is what was looked for among what is `there`."""

    def __init__(self, found: str, name: str, there: list[str]) -> None:
        super().__init__(found)
        self.name, self.there = name, there

    def refusal(self, place: str, key: str) -> UserError:
        """Word it for the user; `key` holds the target."""
        near = difflib.get_close_matches(self.name, self.there, n=1)
        expected = "".join(near) or ", ".join(self.there) or "the dotted path of a class or function"
        return UserError(f"{place}{self}", expected, key)


@dataclass(frozen=True)
class Parameter:
    """The annotation of an argument, with classes of ours as `Reference`s, and whether it has no default."""

    hint: Any
    required: bool


class Reference:
    """Base of the stand-ins for classes that an annotation names; `target` is the dotted path of the class."""

    target: str


class _Unread:
    """A module that is not read: whatever it is asked for counts as `Any`."""

    def __getattr__(self, name: str) -> Any:
        return Any


@cache
def signature(target: str) -> Mapping[str, Parameter] | None:
    """Return what `target`, a dotted path, takes; None where its source does not say.

    Raises:
        NotFoundError: There is no such module, or no such name in it.
    """
    found = _find(target)
    if found is None:
        return None
    module, definition = found
    if isinstance(definition, ast.FunctionDef):
        return _parameters(module, definition)
    if any("dataclass" in ast.unparse(decorator) for decorator in definition.decorator_list):
        return _fields(module, definition)
    init = [item for item in definition.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    return _parameters(module, init[0]) if init else None


def method(target: str, name: str) -> list[str]:
    """Return the annotations of what a method of a class takes, as words; empty if its source does not say."""
    found = _find(target)
    body = found[1].body if found is not None else []
    taken = next((item.args.args for item in body if isinstance(item, ast.FunctionDef) and item.name == name), [])
    return ["" if argument.annotation is None else ast.unparse(argument.annotation) for argument in taken]


def constant(target: str, name: str) -> Any:
    """Return what a class, or one that it inherits from, says that a name is; None where that is no literal."""
    found = _find(target)
    if found is None:
        return None
    module, definition = found
    for item in definition.body:
        match item:
            case ast.AnnAssign(target=ast.Name(id=word), value=ast.Constant(value=value)) if word == name:
                return value
            case ast.Assign(targets=[ast.Name(id=word)], value=ast.Constant(value=value)) if word == name:
                return value
    bases = definition.bases if isinstance(definition, ast.ClassDef) else []
    paths = [module.path_of(base.id) for base in bases if isinstance(base, ast.Name) and base.id in module.names]
    return next((said for path in paths if (said := constant(path, name)) is not None), None)


def _fields(module: "_Module", definition: ast.ClassDef) -> dict[str, Parameter] | None:
    fields: dict[str, Parameter] = {}
    for base in definition.bases:
        inherited = module.evaluate(base)
        if isinstance(inherited, type) and issubclass(inherited, Reference):
            fields |= signature(inherited.target) or {}
    for item in definition.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            hint = module.evaluate(item.annotation)
            if hint is not typing.ClassVar and typing.get_origin(hint) is not typing.ClassVar:
                fields[item.target.id] = Parameter(hint, item.value is None)
    return fields


def _parameters(module: "_Module", function: ast.FunctionDef) -> dict[str, Parameter] | None:
    arguments = function.args
    if arguments.kwarg is not None or arguments.vararg is not None:
        return None
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [*[None] * (len(plain) - len(arguments.defaults)), *arguments.defaults, *arguments.kw_defaults]
    given = zip([*plain, *arguments.kwonlyargs], defaults, strict=True)
    return {
        argument.arg: Parameter(Any if argument.annotation is None else module.evaluate(argument.annotation), d is None)
        for argument, d in given
        if argument.arg != "self"
    }


def _find(target: str) -> tuple["_Module", Definition] | None:
    """Return the definition of a target and the module where it stands, through imports of it elsewhere."""
    name, _, last = target.rpartition(".")
    path = _file(name, target)
    if path is None:
        return None
    module = _Module.read(path, name)
    bound = module.names.get(last)
    if isinstance(bound, Definition):
        return module, bound
    if isinstance(bound, ast.ImportFrom):
        return _find(module.origin(bound, last))
    if isinstance(bound, ast.Assign) and (found := _method_of_record(module, bound.value)) is not None:
        return found
    if name.split(".")[0] == "rftlab" or module.surely_lacks(last):
        there = [word for word, node in module.names.items() if isinstance(node, Definition) and word[0] != "_"]
        raise NotFoundError(f"{target}, which {name} does not have", last, there)
    return None


def _method_of_record(module: "_Module", value: ast.expr) -> tuple["_Module", Definition] | None:
    """Return what `record.method` means; a record is made by its class, or by a function that says what it returns."""
    if not isinstance(value, ast.Attribute):
        return None
    made = value.value
    if isinstance(made, ast.Name) and isinstance(assigned := module.names.get(made.id), ast.Assign):
        made = assigned.value
    found = (
        _find(module.path_of(made.func.id)) if isinstance(made, ast.Call) and isinstance(made.func, ast.Name) else None
    )
    if found is not None and isinstance(found[1], ast.FunctionDef) and isinstance(found[1].returns, ast.Name):
        found = _find(found[0].path_of(found[1].returns.id))
    if found is None or not isinstance(found[1], ast.ClassDef):
        return None
    methods = [item for item in found[1].body if isinstance(item, ast.FunctionDef) and item.name == value.attr]
    return (found[0], methods[0]) if methods else None


def source_file(name: str) -> Path | None:
    """Return the source of a module; None where it has none of its own.

    Raises:
        NotFoundError: There is no such module.
    """
    return _file(name, name)


@cache
def _file(name: str, target: str) -> Path | None:
    """Return the source of a module by walking down from its top-level package, whose folder Python knows."""
    top, *inner = name.split(".")
    spec = importlib.util.find_spec(top) if top else None
    if spec is None:
        raise NotFoundError(f"{target}, though no module {top or target} is found", top, [])
    places = list(spec.submodule_search_locations or [])
    if not places:
        return Path(spec.origin) if not inner and spec.origin and spec.origin.endswith(".py") else None
    folder = Path(places[0])
    for part in inner[:-1]:
        folder /= part
    if inner:
        if (module := folder / f"{inner[-1]}.py").exists():
            return module
        folder /= inner[-1]
    if not folder.is_dir():
        there = [path.stem for path in sorted(folder.parent.glob("*.py")) if path.stem[0] != "_"]
        raise NotFoundError(f"{target}, though there is no module {name}", inner[-1], there)
    return init if (init := folder / "__init__.py").exists() else None


@dataclass(frozen=True)
class _Module:
    """The top level of a source file: what each name is bound to."""

    name: str
    package: str
    text: str
    names: Mapping[str, ast.stmt]

    @staticmethod
    @cache
    def read(path: Path, name: str) -> "_Module":
        """Parse a file; it is read once.

        Raises:
            UserError: It cannot be read, or is no Python.
        """
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        try:
            text = path.read_text(encoding="utf-8")
            body = ast.parse(text).body
        except (OSError, SyntaxError, ValueError) as error:  # no text, or no Python
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise UserError(f"{path}{line}: {getattr(error, 'msg', error)}", "Python", f"{path}, or _target_") from None
        return _Module(name, package, text, {word: node for node in body for word in _bound(node)})

    def surely_lacks(self, word: str) -> bool:
        """Say whether a name can neither be defined here nor be made when the module is imported."""
        return not any(part in self.text for part in (word, "import *", "__getattr__", "globals()"))

    def origin(self, node: ast.ImportFrom, word: str) -> str:
        """Return the dotted path of what `from ... import word` means here."""
        package = self.package.split(".")
        above = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
        (real,) = (alias.name for alias in node.names if (alias.asname or alias.name) == word)
        return ".".join(part for part in (above, node.module, real) if part)

    def path_of(self, word: str) -> str:
        """Return the dotted path of what a name means here."""
        node = self.names.get(word)
        return self.origin(node, word) if isinstance(node, ast.ImportFrom) else f"{self.name}.{word}"

    def evaluate(self, node: ast.expr) -> Any:
        """Return what an annotation means, `Any` where it cannot be said."""
        try:
            return eval(compile(ast.Expression(node), self.name, "eval"), {"__builtins__": {}}, _Names(self))
        except (TypeError, AttributeError, NameError):  # of names that stand for something unread
            return Any

    def meaning(self, word: str) -> Any:
        """Return what a name means in an annotation."""
        match self.names.get(word):
            case ast.ClassDef():
                return _reference(f"{self.name}.{word}")
            case ast.ImportFrom() as node:
                return self._imported(node, word)
            case ast.Import() as node:
                return next((IMPORTED[a.name] for a in node.names if a.name in IMPORTED), _Unread())
            case ast.Assign() as node:
                return self.evaluate(node.value)
            case None if hasattr(builtins, word):
                return getattr(builtins, word)
        return Any

    def _imported(self, node: ast.ImportFrom, word: str) -> Any:
        module, _, real = self.origin(node, word).rpartition(".")
        if module in IMPORTED:
            return getattr(IMPORTED[module], real)
        if module.split(".")[0] != self.name.split(".")[0]:
            return Any
        path = _file(module, f"{module}.{real}")
        return Any if path is None else _Module.read(path, module).meaning(real)


class _Names(Mapping[str, Any]):
    """The names of a module, as the evaluation of an annotation looks them up."""

    def __init__(self, module: _Module) -> None:
        self._module = module

    def __getitem__(self, word: str) -> Any:
        return self._module.meaning(word)

    def __iter__(self) -> Iterator[str]:
        return iter(self._module.names)

    def __len__(self) -> int:
        return len(self._module.names)


@cache
def _reference(target: str) -> type[Reference]:
    return type(target.rpartition(".")[2], (Reference,), {"target": target})


def _bound(node: ast.stmt) -> list[str]:
    match node:
        case ast.ClassDef() | ast.FunctionDef():
            return [node.name]
        case ast.Import() | ast.ImportFrom():
            return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
        case ast.Assign(targets=[ast.Name(id=word)]):
            return [word]
    return []
