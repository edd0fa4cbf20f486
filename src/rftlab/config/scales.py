"""Tables of the config files: the values that a dataset, an algorithm or a scale has in combination with other groups.

    conf/data/NAME.yaml       scales: {SCALE: {model: MODEL, reward: {...}, all: {...}, online: {...}, ALGO: {...}}}
                              reward: REWARD    start: {policy: START, reward_model: START}
    conf/model/NAME.yaml      sft_on: [DATA ...]
    conf/data/kind/KIND.yaml  optimizer: NAME
    conf/algo/NAME.yaml       kinds: {KIND: {...}}    scales: {SCALE: {KIND: {...}}}    like: ALGO
    conf/scale/NAME.yaml      kinds: {KIND: {...}}
    conf/experiment/**/NAME.yaml    scales: {SCALE: {...}}    algos: {ALGO: {...}}

An entry `{...}` is what a config file with `# @package _global_` would hold. The defaults list of `conf/train.yaml`
names entries as if they were files, so Hydra merges them in the order that stands there. The tables themselves are part
of no config.

`model` is the default model: its name, or `{name: MODEL, KEY: VALUE ...}`. `reward` is the default reward: the same, or
`{_target_: ...}` for one that has no file in `conf/reward`, or null; the row `reward` of a scale holds values for this
reward and no other, or names another one. `online` holds for every algorithm whose loop on this kind of data is
`rftlab.loops.online.Online`, `offline` the same of `rftlab.loops.offline.Offline`.

`start` is the default start: of algorithms whose loop trains a policy on scores or pairs, or samples responses for one,
and of reward models. A model that is after SFT on the dataset (`sft_on`) and other algorithms start as they are.

In an algorithm's file the name of another algorithm may stand for an entry: it means the entry at the same place in
that algorithm's file. `like: ALGO` means more: the rows `scales` of that algorithm's file, and its own rows in the
files of datasets and presets, hold for this algorithm too, below what they say of this one itself.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rftlab.config.layers import find, names
from rftlab.config.yaml_files import unreadable, yaml_loader
from rftlab.errors import UserError

TABLES = {
    "data": ("scales", "reward", "start"),
    "model": ("sft_on",),
    "data/kind": ("optimizer",),
    "algo": ("kinds", "scales", "like"),
    "scale": ("kinds",),
    "experiment": ("scales", "algos"),
}
ROWS = {"online": "rftlab.loops.online.Online", "offline": "rftlab.loops.offline.Offline"}  # of a scale -> their loop
STARTS = {  # a key of `start` -> the loops that it is for
    "policy": {*ROWS.values(), "rftlab.loops.preference.Preference", "rftlab.loops.responses.Responses"},
    "reward_model": {"rftlab.loops.reward_model.RewardModelling"},
}
GLOBAL = "_global_"
Restore = Callable[[Any, str, str], None]  # of content, given the text and the name of its file


@dataclass(frozen=True)
class Entry:
    """An entry of a table as a config file: its place, its content and its package (None: that of the config group)."""

    file: str
    keys: tuple[str, ...]
    content: Mapping[str, Any]
    package: str | None = GLOBAL


@dataclass(frozen=True)
class File:
    """A file as it was read: its text, and its values and its tables apart."""

    stamp: tuple[int, int]  # when it was changed, and its size
    text: str
    values: Mapping[str, Any]
    tables: Mapping[str, Any]


class Tables:
    """The tables of one config folder."""

    def __init__(self, root: Path, restore: Restore | None = None) -> None:
        """Take the folder, and what is done to the content of a file, given its text and name, when it is read."""
        self._root = root
        self._restore = restore
        self._files: dict[str, File] = {}

    def read(self, file: str) -> File | None:
        """Read `GROUP/NAME`; None if there is no such file or files of this group have no tables.

        Raises:
            UserError: The file cannot be read, holds a key twice, or a table names something that does not exist.
        """
        path, group = find(self._root, file), file.rpartition("/")[0]
        if not tables_of(group) or not path.is_file():
            return None
        stat = path.stat()
        stamp = stat.st_mtime_ns, stat.st_size
        if file not in self._files or self._files[file].stamp != stamp:
            check = _Check(self._root, file)
            try:
                text = path.read_text(encoding="utf-8")
                values = yaml.load(text, Loader=yaml_loader()) or {}
                check.mapping((), values)
                if self._restore is not None:
                    self._restore(values, text, file)
            except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
                raise unreadable(f"{self._root.name}/{file}.yaml", error) from None
            tables = {name: values.pop(name) for name in tables_of(group) if name in values}
            check.tables(group, tables)
            self._files[file] = File(stamp, text, values, tables)
        return self._files[file]

    def find(self, path: str) -> Entry | None:
        """Return the entry that a config path of the defaults list names, or None if there is none.

        Raises:
            UserError: The dataset has tables for other scales only, a name stands for an entry that does not exist, or
                a preset builds on one with tables.
        """
        match path.split("/"):
            case ["model", "default", name]:
                return self._model(name)
            case ["reward", "default", name]:
                return self._reward(name)
            case ["start", "default", scale, data, algo, kind, *model]:
                return self._start(data, scale, self._loops(algo, kind), "/".join(model))
            case ["optimizer", "default", kind] if option := self._of(f"data/kind/{kind}").get("optimizer"):
                return _default(f"data/kind/{kind}", ("optimizer",), f"/optimizer/{option}", {})
            case ["scale", "kinds", scale, kind]:
                return self._entry(f"scale/{scale}", "kinds", kind)
            case ["algo", "kinds", algo, kind]:
                return self._of_algo(algo, "kinds", kind)
            case ["algo", "scales", "like", algo, scale, kind]:
                return self._of_algo(other, "scales", scale, kind) if (other := self._like(algo)) else None
            case ["algo", "scales", algo, scale, kind]:
                return self._of_algo(algo, "scales", scale, kind)
            case ["data", "scales", "all", data, scale]:
                return self._entry(f"data/{data}", "scales", scale, "all")
            case ["data", "scales", row, data, scale, algo, kind] if ROWS.get(row) in self._loops(algo, kind):
                return self._entry(f"data/{data}", "scales", scale, row)
            case ["data", "scales", "like", data, scale, algo]:
                return self._entry(f"data/{data}", "scales", scale, other) if (other := self._like(algo)) else None
            case ["data", "scales", "algo", data, scale, algo]:
                return self._entry(f"data/{data}", "scales", scale, algo)
            case ["experiment", "like", *option, algo] if option:
                return (
                    self._of_preset(f"experiment/{'/'.join(option)}", "algos", other)
                    if (other := self._like(algo))
                    else None
                )
            case ["experiment", "scales" | "algos" as table, *option, row] if option:
                return self._of_preset(f"experiment/{'/'.join(option)}", table, row)
        return None

    def place(self, path: str, key: str) -> str | None:
        """Say where a key stands that the entry at a config path sets (`FILE:LINE`); None if there is no entry."""
        entry = self.find(path)
        if entry is None:
            return None
        group = path.split("/")[0]
        inner = key if entry.package == GLOBAL else key.removeprefix(f"{group}.")
        return where(self._root, entry.file, (*entry.keys, *inner.split(".")))

    def _model(self, name: str) -> Entry | None:
        found = self._split(name)
        return None if found is None else self._model_of(*found)

    def _split(self, name: str) -> tuple[str, str] | None:
        """Take `SCALE_DATA` apart, if there are such files."""
        for scale in _options(self._root, "scale"):
            data = name.removeprefix(f"{scale}_")
            if data != name and self.read(f"data/{data}") is not None:
                return data, scale
        return None

    def _model_of(self, data: str, scale: str) -> Entry:
        file, keys = f"data/{data}", ("scales", scale, "model")
        model = _at(self._of(file), keys)
        if model is None:
            self._refuse_scale(data, scale)
            return Entry(file, keys, {})  # it is named among all the values that are missing
        values = {"name": model} if isinstance(model, str) else model
        return _default(file, keys, f"/model/{values['name']}", values)

    def _reward(self, name: str) -> Entry:
        """Return the reward of `SCALE_DATA`; null where the data, which may be the user's own, names none here."""
        data, scale = self._split(name) or (name, "")
        file, keys = f"data/{data}", ("reward",)
        reward = self._of(file).get("reward")
        if reward is None:
            return Entry(file, (), {"reward": None})
        values = {"name": reward} if isinstance(reward, str) else dict(reward)
        values |= _at(self._of(file), ("scales", scale, "reward")) or {}
        if (name := values.pop("name", None)) is None:
            return Entry(file, keys, values, package=None)
        return _default(file, keys, f"/reward/{name}", values)

    def _start(self, data: str, scale: str, loops: Collection[str], model: str) -> Entry:
        """Return how a run with such loops starts; `model` is its option, or `default`."""
        file = f"data/{data}"
        starts = self._of(file).get("start") or {}
        option = next((start for key, start in starts.items() if STARTS[key] & set(loops)), None)
        default = _at(self._of(file), ("scales", scale, "model"))
        name = default if model.partition("/")[0] == "default" else model
        name = name["name"] if isinstance(name, Mapping) else name
        if option is None or data in (self._of(f"model/{name}").get("sft_on") or ()):
            return Entry(file, (), {})
        text = find(self._root, f"start/{option}").read_text(encoding="utf-8")
        content = yaml.load(text, Loader=yaml_loader())
        return Entry(f"start/{option}", (), content)

    def _refuse_scale(self, data: str, scale: str) -> None:
        """Refuse a scale where the file of a dataset has a table for others only."""
        tables = self._of(f"data/{data}").get("scales", {})
        if tables and scale not in tables:
            shown = f"{self._root.name}/data/{data}.yaml"
            found = f"data={data} with scale={scale}, for which {shown} has no table"
            expected = f"scale={' or '.join(tables)}, model=NAME, or a table scales.{scale} with a model there"
            raise UserError(found, expected, f"scale, model or {shown}")

    def _of_algo(self, algo: str, *keys: str) -> Entry | None:
        entry = self._entry(f"algo/{algo}", *keys)
        if entry is None or not isinstance(entry.content, str):
            return entry
        other = self._entry(f"algo/{entry.content}", *keys)
        if other is None or isinstance(other.content, str):
            found = f"{where(self._root, entry.file, keys)}: {'.'.join(keys)}: {entry.content}"
            expected = f"an algorithm whose file has a table {'.'.join(keys)}, or such a table"
            raise UserError(found, expected, f"{self._root.name}/{entry.file}.yaml")
        return other

    def _of_preset(self, file: str, table: str, row: str) -> Entry | None:
        """Return an entry of the chosen preset; those of a preset that it builds on would silently not apply."""
        read = self.read(file)
        for base in read.values.get("defaults") or () if read else ():
            if isinstance(base, str) and self._of(f"experiment/{base.removeprefix('/experiment/')}"):
                found = f"{where(self._root, file, ('defaults',))}: a preset on top of {base}, which has tables"
                raise UserError(
                    found, "one without tables below it, or its values copied", f"{self._root.name}/{file}.yaml"
                )
        return self._entry(file, table, row)

    def _like(self, algo: str) -> str | None:
        """Name the algorithm whose entries hold for this one too."""
        return self._of(f"algo/{algo}").get("like")

    def _loops(self, algo: str, kind: str) -> set[str]:
        """Name the loops of an algorithm on a kind of data."""
        file, entry = self.read(f"algo/{algo}"), self._of_algo(algo, "kinds", kind)
        loops = (file.values.get("loop") if file else None, _at(entry.content, ("algo", "loop")) if entry else None)
        return {str(loop.get("_target_")) for loop in loops if isinstance(loop, Mapping)}

    def _entry(self, file: str, *keys: str) -> Entry | None:
        content = _at(self._of(file), keys)
        return None if content is None else Entry(file, keys, content)

    def _of(self, file: str) -> Mapping[str, Any]:
        read = self.read(file)
        return {} if read is None else read.tables


class _Check:
    """Refuse the tables of one file if they name something that does not exist."""

    def __init__(self, root: Path, file: str) -> None:
        self._root, self._file = root, file

    def tables(self, group: str, tables: Mapping[str, Any]) -> None:
        """Check all tables of a file of this group."""
        match group:
            case "data/kind":
                self._value(("optimizer",), tables.get("optimizer"), self._options("optimizer"))
            case "model":
                for name in tables.get("sft_on", ()):
                    self._value(("sft_on",), name, self._options("data"))
            case "scale":
                self._kinds(("kinds",), tables.get("kinds", {}), self._options("data/kind"))
            case "algo":
                kinds = self._options("data/kind")
                if "like" in tables:
                    self._value(("like",), tables["like"], self._options("algo"))
                self._kinds(("kinds",), tables.get("kinds", {}), kinds, self._options("algo"))
                for scale, table in self._rows(("scales",), tables.get("scales", {}), self._options("scale")):
                    own = list(tables.get("kinds", kinds))
                    self._kinds(("scales", scale), table, own, self._options("algo"))
            case "data":
                self._reward(tables.get("reward"))
                for key, start in self._rows(("start",), tables.get("start", {}), list(STARTS)):
                    self._value(("start", key), start, self._options("start"))
                for scale, table in self._rows(("scales",), tables.get("scales", {}), self._options("scale")):
                    self._scale_of_data(("scales", scale), table)
            case _:
                self._kinds(("scales",), tables.get("scales", {}), self._options("scale"))
                self._kinds(("algos",), tables.get("algos", {}), self._options("algo"))

    def _reward(self, reward: Any) -> None:
        if isinstance(reward, Mapping) and "name" in reward:
            self._value(("reward", "name"), reward["name"], self._options("reward"))
        elif not isinstance(reward, Mapping) and reward is not None:
            self._value(("reward",), reward, self._options("reward"))

    def _kinds(self, keys: tuple[str, ...], table: Any, kinds: Collection[str], algos: Collection[str] = ()) -> None:
        for kind, entry in self._rows(keys, table, kinds):
            if isinstance(entry, str) and algos:
                self._value((*keys, kind), entry, algos)
            else:
                self.mapping((*keys, kind), entry)

    def _scale_of_data(self, keys: tuple[str, ...], table: Any) -> None:
        for name, entry in self._rows(keys, table, ["model", "reward", "all", *ROWS, *self._options("algo")]):
            here = (*keys, name)
            if name != "model":
                self.mapping(here, entry)
                if name == "reward" and "name" in entry:
                    self._value((*here, "name"), entry["name"], self._options("reward"))
            elif isinstance(entry, Mapping):
                self._value((*here, "name"), entry.get("name"), self._options("model"))
            else:
                self._value(here, entry, self._options("model"))

    def _rows(self, keys: tuple[str, ...], table: Any, names: Collection[str]) -> Iterator[tuple[str, Any]]:
        self.mapping(keys, table)
        for name, entry in table.items():
            if name not in names:
                raise self._error((*keys, str(name)), f"{name} in {'.'.join(keys)}", f"one of {', '.join(names)}")
            yield name, entry

    def mapping(self, keys: tuple[str, ...], value: Any) -> None:
        """Check that a value has keys."""
        if not isinstance(value, Mapping):
            raise self._error(keys, f"{'.'.join(keys) or 'the file'}: {value}", "a table of keys and values")

    def _value(self, keys: tuple[str, ...], value: Any, known: Collection[str]) -> None:
        if value not in known:
            raise self._error(keys, f"{'.'.join(keys)}: {value}", f"one of {', '.join(known)}")

    def _error(self, keys: Sequence[str], found: str, expected: str) -> UserError:
        place = where(self._root, self._file, keys)
        return UserError(f"{place}: {found}", expected, f"{self._root.name}/{self._file}.yaml")

    def _options(self, group: str) -> list[str]:
        return _options(self._root, group)


def tables_of(group: str) -> tuple[str, ...]:
    """Return the tables that files of a group may have; presets have theirs in every folder of `experiment`."""
    return TABLES.get("experiment" if group.startswith("experiment/") else group, ())


def place_of_mistake(root: Path, text: str) -> str | None:
    """Say where in a table the value stands that Hydra could not merge, from Hydra's words; None if it is in none."""
    entry, key = re.search(r"In '([^']+)': \w+ raised", text), re.search(r"full_key: (\S+)", text)
    return Tables(root).place(entry.group(1), key.group(1)) if entry and key else None


def _default(file: str, keys: tuple[str, ...], option: str, values: Mapping[str, Any]) -> Entry:
    return Entry(file, keys, {"defaults": [f"{option}@_here_", "_self_"], **values}, package=None)


def where(root: Path, file: str, keys: Sequence[str]) -> str:
    """Return file and line of a key, or of the innermost table around it that is found."""
    node, line = yaml.compose(find(root, file).read_text(), Loader=yaml.SafeLoader), 0
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = [(name.start_mark.line, value) for name, value in pairs if name.value == key]
        if not found:
            break
        line, node = found[0]
    return f"{root.name}/{file}.yaml:{line + 1}"


def _options(root: Path, group: str) -> list[str]:
    return [name for name in names(root, group) if "/" not in name]


def _at(tables: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        tables = tables.get(key) if isinstance(tables, Mapping) else None
    return tables
