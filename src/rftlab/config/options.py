"""What `conf/` has to choose from, read from its files: for the help, for refusals, and for the nearest known key.

A kind of data (text, labels, documents, cases) has its models and its algorithms: a model belongs to it by the shape of
its file, an algorithm by what the `run` of its loop takes.
"""

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import yaml

from rftlab.config.layers import find, names
from rftlab.config.scales import GLOBAL, tables_of
from rftlab.config.signatures import NotFoundError, method
from rftlab.place import CONF, as_typed

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast
WIDTH = 112
WORDS = {  # for the help, in its order
    "text": "on text",
    "embedded": "embedded",
    "hub": "from the hub, paths.hub_mirror or a folder",
    "corpus": "for algo=pretrain",
    "labels": "on labels",
    "documents": "on labelled texts",
    "random": "classifiers from random weights",
    "cases": "theory",
}
KIND_OF_LAB = {
    "Lab": "text",
    "LabelLab": "labels",
    "DocumentLab": "documents",
    "Session": "cases",
}  # what a loop is given -> what it works on


def groups() -> list[str]:
    """Return the names of the groups that have a choice; not those whose options are whole sweeps or sites."""
    return sorted(
        path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("sweep", "local", "hydra")
    )


def options(group: str) -> list[str]:
    """Return the names of the files of a group; of `experiment`, with their folders."""
    return names(CONF, group)


def choices(group: str) -> list[str]:
    """Return what `group=` may be; the folders of `experiment` belong to the names, those of other groups do not."""
    return [name for name in options(group) if group == "experiment" or "/" not in name]


def content(file: str) -> Mapping[str, Any]:
    """Return what a file (`GROUP/NAME`) says, with its tables."""
    return _content(find(CONF, file).absolute())


@cache
def _content(path: Path) -> Mapping[str, Any]:
    try:
        said = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    except (
        yaml.YAMLError,
        UnicodeDecodeError,
        RecursionError,
    ):  # refused where the file is chosen, as one without keys
        said = None
    return said if isinstance(said, Mapping) else {}


def of_group(group: str) -> dict[str, Mapping[str, Any]]:
    """Return what each file of a group says; not those of the folders in it."""
    return {name: content(f"{group}/{name}") for name in options(group) if "/" not in name}


# --- kinds --------------------------------------------------------------------------------------------------------


def kind_of_model(model: Mapping[str, Any]) -> str:
    """Say which kind of data a model is for."""
    shapes = {"network": "labels", "policy": "text", "classifier": "documents"}
    return next((kind for key, kind in shapes.items() if key in model), "cases")


def kind_of_data(data: Mapping[str, Any]) -> str:
    """Say of which kind the data is."""
    shapes = {"classes": "labels", "rollout": "text", "loader": "documents"}
    return next((kind for key, kind in shapes.items() if key in data), "cases")


@cache
def kind_of_loop(target: str) -> str | None:
    """Say which kind of data a loop works on; None if its source does not say.

    Raises:
        UserError: There is no such loop.
    """
    try:
        taken = method(target, "run")
    except NotFoundError as error:
        raise error.refusal("", "algo.loop._target_") from None
    return KIND_OF_LAB.get(taken[1]) if len(taken) > 1 else None


def kinds_of_algo(algo: Mapping[str, Any]) -> set[str]:
    """Say which kinds of data an algorithm has a loop for."""
    tables = algo.get("kinds", {})
    loops = [algo.get("loop"), *(entry["algo"]["loop"] for entry in tables.values() if isinstance(entry, Mapping))]
    own = {kind_of_loop(loop["_target_"]) for loop in loops if isinstance(loop, Mapping)}
    return {kind for kind in {*own, *tables} if kind is not None}


def models_for(kind: str) -> str:
    """List the models for a kind of data."""
    found = {name: model for name, model in of_group("model").items() if kind_of_model(model) == kind}
    if kind != "text":
        return either(sorted(found))
    families = {name: model["policy"]["family"] for name, model in found.items()}
    generating = [name for name, family in families.items() if family != "classifier"]
    kinds = {families[name] for name in generating} - {"auto"}
    return f"a {either(sorted(kinds, reverse=True))} model: {either(generating)}"


def algorithms_for(kind: str) -> str:
    """List the algorithms for a kind of data."""
    return either([name for name, algo in of_group("algo").items() if kind in kinds_of_algo(algo)])


def either(names: list[str]) -> str:
    """Join names as a choice."""
    return " or ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


# --- keys ---------------------------------------------------------------------------------------------------------


def known_keys() -> frozenset[str]:
    """Return every dotted key that some file gives a value or a place."""
    inside = [f"{group}/{name}" for group in [*groups(), "hydra"] for name in options(group)]
    return _known_keys(tuple((file, find(CONF, file).absolute()) for file in [*inside, *_outside()]))


def _outside() -> list[str]:
    """Return the names of the files that are in no group."""
    return sorted(path.stem for path in CONF.glob("*.yaml"))


@cache
def _known_keys(files: tuple[tuple[str, Path], ...]) -> frozenset[str]:
    return frozenset(key for file, path in files for key in _keys_of(file, path))


def _keys_of(file: str, path: Path) -> Iterator[str]:
    group = file.rpartition("/")[0]
    header = re.match(r"# @package (\S+)", path.read_text(errors="replace"))
    package = header.group(1) if header else group.replace("/", ".")
    aside = {"defaults", "hydra", *tables_of(group)}
    own = {key: value for key, value in content(file).items() if key not in aside}
    yield from _paths(own, "" if package in (GLOBAL, "") else f"{package}.")
    for table in content(file).get("kinds", {}).values():
        if isinstance(table, Mapping):
            yield from _paths({key: value for key, value in table.items() if key != "defaults"}, "")


def _paths(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, child in node.items():
        if not str(name).startswith("_"):
            yield f"{prefix}{name}"
        if isinstance(child, Mapping):
            yield from _paths(child, f"{prefix}{name}.")


# --- help ---------------------------------------------------------------------------------------------------------


def help_text() -> str:
    """Fill the template of the help in `conf/train.yaml`."""
    said = content("train")["hydra"]["help"]
    parts = {"groups": help_of_groups(), "header": said["header"], "footer": said["footer"]}
    text = Template(said["template"].replace("${hydra.help.", "${")).substitute(parts).replace("$$", "$")
    return as_typed(text)


def help_of_groups() -> str:
    """List the options of every group; those of models, data and algorithms by what they are for."""
    listed = {
        "model": _by(of_group("model"), lambda model: [_words_of_model(model)]),
        "data": _by(of_group("data"), lambda data: [_words_of_data(data)]),
        "reward": f"{' '.join(options('reward'))} (the default suits the data)",
        "algo": _by(of_group("algo"), lambda algo: [WORDS[kind] for kind in kinds_of_algo(algo)]),
        "start": f"{_with_first_words('start')} (the default suits the data)",
        "optimizer": f"{' '.join(options('optimizer'))} (the default suits the data)",
        "heuristic": " ".join(options("heuristic")),
        "scale": _with_first_words("scale"),
        "tracking": " ".join(options("tracking")),
        "experiment": " ".join(options("experiment")),
        "hydra/launcher": _with_first_words("hydra/launcher"),
    }
    indent = " " * 17
    lines = [textwrap.wrap(f"  {group:<15}{text}", WIDTH, subsequent_indent=indent) for group, text in listed.items()]
    return "\n".join(line for paragraph in lines for line in paragraph)


def _by(members: Mapping[str, Mapping[str, Any]], words_of: Callable[[Mapping[str, Any]], list[str]]) -> str:
    """List members behind the words that describe them, in the order in which `WORDS` has these."""
    said = {name: words_of(member) for name, member in members.items()}
    groups = {words: " ".join(name for name in said if words in said[name]) for words in WORDS.values()}
    return "; ".join(f"{words}: {names}" for words, names in groups.items() if names)


def _words_of_model(model: Mapping[str, Any]) -> str:
    kind = kind_of_model(model)
    if kind != "text":
        return WORDS["random" if kind == "labels" else kind]
    return WORDS["embedded" if model["policy"]["source"].startswith("asset:") else "hub"]


def _words_of_data(data: Mapping[str, Any]) -> str:
    kind = kind_of_data(data)
    return WORDS["corpus" if kind == "text" and data["rollout"] is None else kind]


def _with_first_words(group: str) -> str:
    """List options with the beginning of the comment that opens their files."""
    opened = {name: find(CONF, f"{group}/{name}").read_text() for name in options(group)}
    comments = {name: re.search(r"^# (?!@)(.*?)(?:[:;.]|$)", text, re.MULTILINE) for name, text in opened.items()}
    return ", ".join(
        f"{name} ({comment.group(1)[0].lower()}{comment.group(1)[1:]})" if comment else name
        for name, comment in comments.items()
    )
