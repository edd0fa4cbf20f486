"""Fields of `conf/optimizer`."""

from dataclasses import dataclass
from typing import Literal

from rftlab.ranges import BelowOne, Built, NonNegative, Positive, UnitInterval

Betas = tuple[BelowOne[float], BelowOne[float]]


@dataclass
class AdamW:
    betas: Betas
    eps: Positive[float]
    weight_decay: NonNegative[float]


@dataclass
class Adam:
    betas: Betas
    eps: Positive[float]


@dataclass
class SGD:
    momentum: UnitInterval[float]


@dataclass
class Optimizer:
    name: str
    build: Built | None
    lr: Positive[float] | None
    lr_factor: Positive[float]
    schedule: Literal["constant", "cosine"]
    warmup_steps: NonNegative[int]
    max_grad_norm: Positive[float] | None
