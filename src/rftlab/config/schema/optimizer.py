"""Types of `conf/optimizer`."""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING


@dataclass
class AdamWConfig:
    _target_: str = "torch.optim.AdamW"
    _partial_: bool = True
    betas: tuple[float, float] = MISSING
    eps: float = MISSING
    weight_decay: float = MISSING


@dataclass
class AdamConfig:
    _target_: str = "torch.optim.Adam"
    _partial_: bool = True
    betas: tuple[float, float] = MISSING
    eps: float = MISSING


@dataclass
class SGDConfig:
    _target_: str = "torch.optim.SGD"
    _partial_: bool = True
    momentum: float = MISSING


@dataclass
class OptimizerConfig:
    name: str = MISSING
    build: Any = MISSING
    lr: float | None = MISSING
    lr_factor: float = MISSING
    schedule: str = MISSING
    warmup_steps: int = MISSING
    max_grad_norm: float | None = MISSING
