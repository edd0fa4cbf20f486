"""Fields of `conf/heuristic`."""

from dataclasses import dataclass
from typing import Any

from rftlab.ranges import Fraction, NonNegative, Positive

ABSENT = 0.0  # each heuristic has the fields that it turns


@dataclass
class Heuristic:
    name: str
    factor: Positive[float] = ABSENT
    temperature: Positive[float] = ABSENT
    coef: NonNegative[float] = ABSENT
    step_fraction: Fraction[float] = ABSENT
    sample_fraction: Fraction[float] = ABSENT
    prompts: Any = None  # what decides which prompts are learned from: a `_target_` with `collector`
