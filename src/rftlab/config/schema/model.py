"""Fields of `conf/model`: language models, classifiers from random weights, classifiers of texts, computed cases."""

from dataclasses import dataclass
from typing import Literal

from rftlab.ranges import Blocks, Built, NoDropout, Positive


@dataclass
class Value:
    kind: Literal["separate", "head"]
    head: Literal["mlp", "linear"]


@dataclass
class LoRA:
    rank: Positive[int] | None
    alpha: Positive[float]
    targets: list[str] | None
    dropout: NoDropout


@dataclass
class TextModel:
    name: str
    policy: Built
    value: Value
    unfrozen_blocks: Blocks
    lora: LoRA | None = None


@dataclass
class LabelModel:
    name: str
    inputs: Literal["images", "pairs"]
    network: Built


@dataclass
class DocumentModel:
    name: str
    classifier: Built


@dataclass
class CasesModel:
    name: str
