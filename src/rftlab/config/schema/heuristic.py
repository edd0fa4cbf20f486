"""Types of `conf/heuristic`."""

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class NoHeuristic:
    name: str = MISSING


@dataclass
class LearningRateHeuristic:
    name: str = MISSING
    factor: float = MISSING


@dataclass
class TemperatureHeuristic:
    name: str = MISSING
    temperature: float = MISSING


@dataclass
class EntropyHeuristic:
    name: str = MISSING
    coef: float = MISSING


@dataclass
class PartialSFTHeuristic:
    name: str = MISSING
    step_fraction: float = MISSING
    sample_fraction: float = MISSING
