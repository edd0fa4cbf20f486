"""The user's own files that a config names: their content is part of what a run computes, so it is part of its key.

Read are the files of a `_target_` that is neither ours nor an installed library's, the files of the user's that it
imports, and files that its values name. Nothing is imported.
"""

import ast
import hashlib
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rftlab.config.signatures import NotFoundError, source_file

OURS = ("rftlab", "hydra_plugins")
INSTALLED = ("site-packages", "dist-packages")
LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
DIGITS = 12  # hexadecimal


def own_files(config: Mapping[str, Any]) -> dict[str, str]:
    """Hash the content of the user's own files that a config names: name of a module, or path as written -> hash.

    Modules are named by the parts of their dotted path joined with slashes, so that no key has a dot.
    """
    found: dict[str, str] = {}
    for node in _nodes(config):
        modules = _modules(node["_target_"].rpartition(".")[0])
        found |= {name.replace(".", "/"): _hashed(path, _stamp(path)) for name, path in modules.items()}
        if modules:
            found |= {text: _hashed(Path(text), _stamp(Path(text))) for text in _named_files(node)}
    return dict(sorted(found.items()))


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """Give every mapping with a `_target_` that may be the user's own."""
    if isinstance(value, Mapping):
        target = value.get("_target_")
        if isinstance(target, str) and target.split(".")[0] not in OURS:
            yield value
        for item in value.values():
            yield from _nodes(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _nodes(item)


def _named_files(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _named_files(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _named_files(item)
    elif isinstance(value, str) and len(value) < 1024 and "\n" not in value and Path(value).is_file():
        yield value


@cache
def _modules(name: str) -> dict[str, Path]:
    """Find a module of the user's own, and those that it imports, by name; none where it is installed or ours."""
    found: dict[str, Path] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in found or (path := _own(name)) is None:
            continue
        found[name] = path
        waiting += _imports(path, name)
    return found


def _own(name: str) -> Path | None:
    if not name or name.split(".")[0] in OURS:
        return None
    try:
        path = source_file(name)
    except (NotFoundError, ValueError):
        return None
    if path is None or path.resolve().is_relative_to(LIBRARY) or set(INSTALLED) & set(path.resolve().parts):
        return None
    return path


def _imports(path: Path, name: str) -> Iterator[str]:
    """Give the dotted paths that a source file may import; a name in a package may be a module or not."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text())
    except SyntaxError:  # told when it is imported
        return ast.Module([], [])


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@cache
def _hashed(path: Path, stamp: tuple[int, int]) -> str:
    """Hash a file; a grid of thousands of jobs reads it once as long as it stays as it is."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
