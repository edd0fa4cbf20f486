"""The user's own files that a config names: their content is part of what a run computes, so it is part of its key.

Read are the files of a `_target_` that is neither ours nor an installed library's, the files of the user's that it
imports, files and folders that its values name, folders of models, and the file of rows of `data=file`; and the
embedded models, once they are made again. Nothing is imported.
"""

import ast
import hashlib
import re
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rftlab.assets import PREFIX, asset_folder, converted
from rftlab.config.own_function import file_of, functions
from rftlab.config.reward_nodes import reward_nodes
from rftlab.config.signatures import NotFoundError, source_file
from rftlab.errors import UserError
from rftlab.files import files_below

OURS = ("rftlab", "hydra_plugins")
INSTALLED = ("site-packages", "dist-packages")
LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
DIGITS = 12  # hexadecimal
MOST_FILES, MOST_GIB = 10_000, 100  # of a folder, which every job reads at its start
OF_MODELS = ("source", "tokenizer", "trunk")  # keys that may name a folder of a model
OF_TEXTS = "corpus"  # a key of rewards that may name a file
SHOWN = 3  # names in a message
# The embedded models of the runs that were made before their content counted. A run on these keeps its key.
EMBEDDED_FIRST: Mapping[str, str] = {
    "gpt2_mini/config.json": "bf2e4e89e0ba",
    "gpt2_mini": "1e10717beb14",
    "sentiment/config.json": "22c29d1f0962",
    "sentiment": "ba7d66c64c27",
    "t5_mini/config.json": "2c5178957df8",
    "t5_mini": "5c7f81289ef7",
    "tokenizer": "4b3b2e9b5d3f",
}


def own_files(config: Mapping[str, Any], folders: dict[str, str] | None = None) -> dict[str, str]:
    """Hash the content of the user's own files that a config names: name of a module, or path as written -> hash.

    Modules are named by the parts of their dotted path joined with slashes, so that no key has a dot. A folder has one
    hash, of the names and contents of all files below it. `folders` remembers those that were read, so that a grid of
    thousands of jobs lists each once.

    Raises:
        UserError: A folder holds too much to be read.
    """
    folders = {} if folders is None else folders
    found: dict[str, str] = {}
    for node in _nodes(config):
        modules = _modules(node["_target_"].rpartition(".")[0])
        found |= {name.replace(".", "/"): _hashed(path, _stamp(path)) for name, path in modules.items()}
        if modules:
            found |= {text: _content(text, folders) for text in _named_paths(node)}
    for function, node in functions(config.get("reward")):
        found |= _files_of(function)
        found |= {text: _content(text, folders) for text in _named_paths(node["arguments"])}
    for _, node in reward_nodes(config.get("reward")):
        if isinstance(text := node.get(OF_TEXTS), str) and Path(text).is_file():
            found[text] = _content(text, folders)
    found |= {text: _content(folder, folders) for text, folder in _model_folders(config)}
    found |= {text: _content(text, folders) for text in _data_files(config)}
    found |= embedded(config, folders)
    return dict(sorted(found.items()))


def embedded(config: Mapping[str, Any], folders: dict[str, str] | None = None) -> dict[str, str]:
    """Hash the embedded models and tokenizers that a config names, where they are not the first that were shipped.

    A policy with random weights reads no more of one than its `config.json`.
    """
    folders = {} if folders is None else folders
    drawn = (config.get("model") or {}).get("policy") or {}
    shapes = {drawn["source"]: "/config.json"} if drawn.get("init") == "random" else {}
    named = {value for value in _model_sources(config) if value.startswith(PREFIX)}
    parts = {value.removeprefix(PREFIX): shapes.get(value, "") for value in named}
    now = {f"{name}{part}": _content(f"{asset_folder(name)}{part}", folders) for name, part in parts.items()}
    return {f"{PREFIX}{name}": content for name, content in now.items() if content != EMBEDDED_FIRST.get(name)}


def _files_of(function: str) -> dict[str, str]:
    """Hash the file of a function of the user's own and what it imports, from modules and from beside the file."""
    if (place := file_of(function)) is None:
        modules = _modules(function.rpartition(".")[0])
        return {name.replace(".", "/"): _hashed(path, _stamp(path)) for name, path in modules.items()}
    path, _ = place
    beside = {str(near): near for near in _beside(path)}
    modules = {n.replace(".", "/"): p for name in _imports(path, path.stem) for n, p in _modules(name).items()}
    return {name: _hashed(found, _stamp(found)) for name, found in {str(path): path, **beside, **modules}.items()}


def _beside(path: Path) -> set[Path]:
    """Find the files in the same folder that a file imports, and those that they import."""
    found, waiting = {path}, [path]
    while waiting:
        here = waiting.pop()
        near = {here.parent / f"{name.split('.')[0]}.py" for name in _imports(here, here.stem) if name}
        new = {file for file in near if file.is_file()} - found
        found |= new
        waiting += new
    return found


def edited_files(config: Mapping[str, Any], folders: dict[str, str] | None = None) -> list[str]:
    """Name the user's own files that are not what the key of a stored config says of them: edited since, or gone.

    Raises:
        UserError: A folder holds too much to be read.
    """
    before = config.get("files") or {}  # none in configs without such files, and where an older one did not keep them
    now = own_files(config, folders) if before else embedded(config, folders)
    made_again = [name for name in now if name.startswith(PREFIX) and name not in before]
    return [name for name, content in before.items() if now.get(name) != content] + made_again


def refuse_edited(config: Mapping[str, Any], run: str) -> None:
    """Refuse a run whose own files are not what its key says of them.

    Raises:
        UserError: A file has been edited since, or is gone.
    """
    if edited := edited_files(config):
        raise UserError(
            f"{first(edited)}, edited or moved since {run} got its key",
            "the content that the key stands for",
            "it back, or start the run or its sweep again by its own command: with this content it is another run",
        )


def first(names: Sequence[str]) -> str:
    """Name a few, and say whether there are more."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


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


def _named_paths(value: Any) -> Iterator[str]:
    """Give every value that is the path of a file or a folder; a word without a letter or digit (`/`, `.`) is none."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _named_paths(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _named_paths(item)
    elif isinstance(value, str) and _is_path(value):
        yield value


def _is_path(value: str) -> bool:
    named = len(value) < 1024 and "\n" not in value and re.search(r"\w", value)
    return bool(named) and (Path(value).is_file() or Path(value).is_dir())


def _model_folders(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the folders that models are read from, as written and as they lie; no embedded ones, and none of a mirror.

    What was converted on this machine is one of them: its weights need not be those that the hub has under that name.
    """
    mirror = config.get("paths", {}).get("hub_mirror")
    for value in _model_sources(config):
        if value.startswith(PREFIX):
            continue
        if mirror is not None and not Path(value).is_absolute() and Path(mirror, value).is_dir():
            continue
        if Path(value).is_dir():
            yield value, value
        elif (folder := converted(value)) is not None:
            yield value, str(folder)


def _model_sources(config: Mapping[str, Any]) -> Iterator[str]:
    """Give every value that says where a model or a tokenizer comes from."""
    model = config.get("model") or {}
    rewards = (node for _, node in reward_nodes(config.get("reward")))
    for node in (model.get("policy"), model.get("network"), *rewards):
        values = (node.get(key) for key in OF_MODELS) if isinstance(node, Mapping) else ()
        yield from (value for value in values if isinstance(value, str))


def _data_files(config: Mapping[str, Any]) -> Iterator[str]:
    """Give the file of rows that the data names."""
    path = config.get("data", {}).get("path")
    if isinstance(path, str) and Path(path).is_file():
        yield path


def _content(text: str, folders: dict[str, str]) -> str:
    """Hash the file or the folder at a path."""
    if (path := Path(text)).is_file():
        return _hashed(path, _stamp(path))
    if text not in folders:
        folders[text] = _hashed_folder(path)
    return folders[text]


def _hashed_folder(folder: Path) -> str:
    """Hash names and contents of all files below a folder; names that begin with a dot, and __pycache__, are left out.

    Raises:
        UserError: There are too many of them.
    """
    files: list[tuple[Path, tuple[int, int]]] = []
    size = 0
    for seen, path in enumerate(files_below(folder), start=1):
        if not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts):
            files.append((path, _stamp(path)))
            size += files[-1][1][0]
        if seen > MOST_FILES or size > MOST_GIB * 2**30:
            raise UserError(
                f"{folder}, a folder of more than {MOST_FILES:,} files or {MOST_GIB} GiB, whose content would be part "
                "of the run's key",
                "a smaller folder",
                f"the value {folder} of the config, or name files instead",
            )
    content = hashlib.sha256()
    for path, stamp in files:
        content.update(f"{path.relative_to(folder)}\0{_hashed(path, stamp)}\n".encode())
    return content.hexdigest()[:DIGITS]


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
