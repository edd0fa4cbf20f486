"""Types of `conf/model`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class PolicyConfig:
    _target_: str = "rftlab.models.load_policy"
    source: str = MISSING
    family: str = MISSING
    tokenizer: str | None = None
    init: str = MISSING
    dtype: str = MISSING


@dataclass
class ValueConfig:
    kind: str = MISSING
    head: str = MISSING


@dataclass
class ModelConfig:
    name: str = MISSING
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    value: ValueConfig = field(default_factory=ValueConfig)
    unfrozen_blocks: int | None = None


@dataclass
class MLPConfig:
    _target_: str = "rftlab.models.networks.mlp"
    hidden: list[int] = MISSING


@dataclass
class ResNetConfig:
    _target_: str = "rftlab.models.networks.resnet"
    width: int = MISSING
    depths: list[int] = MISSING


@dataclass
class BertConfig:
    _target_: str = "rftlab.models.networks.bert"
    tokenizer: str = MISSING
    hidden_size: int = MISSING
    layers: int = MISSING
    heads: int = MISSING
    max_tokens: int = MISSING


@dataclass
class CasesModelConfig:
    name: str = MISSING


@dataclass
class LabelModelConfig:
    name: str = MISSING
    inputs: str = MISSING
    network: Any = MISSING
