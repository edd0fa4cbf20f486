"""Fields of `conf/data`: prompts answered with text, inputs answered with a label, computed cases."""

from dataclasses import dataclass
from typing import Literal

from rftlab.ranges import Built, Positive, UnitInterval

Source = Literal["bundled", "hub"]


@dataclass
class Prompt:
    max_tokens: Positive[int]
    truncation_side: Literal["left", "right"]
    format: Literal["plain", "chat"] = "plain"  # of what has no chat: corpora, labels
    system: str | None = None


@dataclass
class Target:
    max_tokens: Positive[int]
    append_eos: bool


@dataclass
class TextData:
    name: str
    source: Source
    loader: Built
    prompt: Prompt
    target: Target
    rollout: Built | None
    probe: Built | None
    evaluation: Built | None
    needs_targets: bool
    low_reward: float | None
    stop: list[str] | None = None  # of what is answered


@dataclass
class Rewards:
    correct: float
    wrong: float
    wrong_modified: float


@dataclass
class LearningRates:
    adam: Positive[float]
    sgd: Positive[float]


@dataclass
class LabelData:
    name: str
    source: Source
    inputs: Literal["images", "pairs"]
    classes: Positive[int]
    labels_per_input: Positive[int]
    modified_share: UnitInterval[float]
    label_seed: int
    loader: Built
    rewards: Rewards
    lr: LearningRates


@dataclass
class CasesData:
    name: str
    source: Source
