"""Fields of `conf/model`: language models, classifiers from random weights, computed cases."""

from dataclasses import dataclass
from typing import Any, Literal

from rftlab.ranges import Positive


@dataclass
class Value:
    kind: Literal["separate", "head"]
    head: Literal["mlp", "linear"]


@dataclass
class TextModel:
    name: str
    policy: Any
    value: Value
    unfrozen_blocks: Positive[int] | None


@dataclass
class LabelModel:
    name: str
    inputs: Literal["images", "pairs"]
    network: Any


@dataclass
class CasesModel:
    name: str
