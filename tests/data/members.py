"""The datasets as tests see them: all that lie in the folder, by their configs, and tiny mirrors of them."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any, get_args

import datasets
import torch
import yaml

import rftlab.data
from rftlab.data.parts.classes import LabelDataset
from rftlab.data.parts.text import TextDataset
from rftlab.types import LabelSplits, Splits

CONFIGS = Path(__file__).parents[2] / "conf" / "data"
MODULES = [
    importlib.import_module(f"rftlab.data.{found.name}")
    for found in pkgutil.iter_modules(rftlab.data.__path__)
    if not found.ispkg
]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One config of the folder `data` with the loader that it names."""

    name: str
    module: ModuleType
    loader: Callable[..., Splits | LabelSplits]
    keys: Mapping[str, Any]  # what the config gives the loader

    @property
    def record(self) -> TextDataset | LabelDataset:
        """Give what the file says about its dataset."""
        return self.module.DATASET

    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Give the arguments of the loader."""
        return inspect.signature(self.loader).parameters

    def load(self, mirror: Path | None = None, n: int | None = None, **changes: Any) -> Splits | LabelSplits:
        """Load the bundled rows, or `org/set` of a mirror; n limits every split, where None all rows are taken.

        A loader that wants a number has 300 rows then, as a corpus has no end.
        """
        arguments = dict(self.keys)
        if "hub_id" in self.keys:
            arguments |= {"hub_id": "org/set", "hub_config": "default"}
        for key, parameter in self.parameters().items():
            if key.startswith("n_"):
                takes_none = NoneType in get_args(parameter.annotation)
                arguments[key] = 300 if n is None and not takes_none else n
            if is_dataclass(parameter.annotation) and isinstance(parameter.annotation, type):
                arguments[key] = parameter.annotation(**arguments[key])
        source = "bundled" if mirror is None else "hub"
        return self.loader(**(arguments | {"source": source, "hub_mirror": mirror, "seed": 0} | changes))

    def rows(self, split: str, n: int = 60) -> list[dict[str, Any]]:
        """Make the first bundled rows of a split of the hub dataset."""
        return [dict(row) for row in self.record.bundled(0, split)[:n]]

    def hub_splits(self) -> list[str]:
        """Name the splits that are read."""
        return list(dict.fromkeys(self.record.splits.values()))


def members() -> Iterator[Member]:
    """Find every config that names a loader of rows that are bundled; the others are for rows of the user's own."""
    for path in sorted(CONFIGS.glob("*.yaml")):
        said = yaml.safe_load(path.read_text())
        node = said.get("loader")
        if node is not None and said["source"] == "bundled":
            place, name = node["_target_"].rsplit(".", 1)
            module = importlib.import_module(place)
            keys = {key: value for key, value in node.items() if key != "_target_"}
            yield Member(name=path.stem, module=module, loader=getattr(module, name), keys=keys)


ALL = list(members())
PAIRED = [member for member in ALL if not inspect.ismethod(member.loader)]  # test_pair_members.py
MEMBERS = [member for member in ALL if member not in PAIRED]
ON_HUB = [member for member in MEMBERS if hasattr(member.module, "DATASET")]


def member_of(module: ModuleType) -> Member:
    """Find the config of a dataset file."""
    return next(member for member in MEMBERS if member.module is module)


def parts(splits: Splits | LabelSplits) -> dict[str, list]:
    """List the items of each split in a form that can be compared: examples, or inputs with their labels."""
    if isinstance(splits, Splits):
        return {split: list(getattr(splits, split)) for split in ("train", "validation", "test")}
    return {split: _labelled(getattr(splits, split)) for split in ("train", "test")}


def _labelled(part: Any) -> list:
    inputs = part.inputs
    keys = [one.numpy().tobytes() for one in inputs] if isinstance(inputs, torch.Tensor) else inputs
    return list(zip(keys, part.labels.tolist(), strict=True))


def write(
    folder: Path, splits: Mapping[str, Sequence[Mapping]], features: datasets.Features | None = None
) -> datasets.Features:
    """Lay out rows as a mirror does: a YAML header that names the data files, and one parquet file per split."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, rows in splits.items():
        columns = {key: [row[key] for row in rows] for key in (features or rows[0])}
        made = datasets.Dataset.from_dict(columns, features=features)
        features = made.features
        made.to_parquet(folder / f"{split}.parquet")
        lines += [f"  - split: {split}", f"    path: {split}.parquet"]
    (folder / "README.md").write_text("\n".join([*lines, "---"]))
    assert features is not None
    return features
