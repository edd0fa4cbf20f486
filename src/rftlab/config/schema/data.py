"""Fields of `conf/data`: prompts answered with text, inputs answered with a label, labelled texts, computed cases."""

from dataclasses import dataclass
from typing import Literal

from rftlab.ranges import Built, Positive, UnitInterval

Source = Literal["file", "bundled", "hub"]


@dataclass
class Prompt:
    max_tokens: Positive[int]
    truncation_side: Literal["left", "right"]
    format: Literal["plain", "chat", "marked"] = "plain"  # marked: special tokens that a text names are such
    system: str | None = None
    ending: str | None = None  # the end of every prompt, which is never cut
    column: str | None = None  # of rows of the user's own
    drop_long: bool = False  # leave out rows whose text is longer than the limit


@dataclass
class Target:
    max_tokens: Positive[int]
    append_eos: bool
    column: str | None = None
    drop_long: bool = False


@dataclass
class Column:
    column: str | None


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
    responses: bool = False  # whether rows bring scored responses of their own, for algorithms that do not sample
    path: str | None = None  # of a file of the user's own, and its columns
    response: Column | None = None
    score: Column | None = None
    chosen: Column | None = None
    rejected: Column | None = None


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
class DocumentData:
    name: str
    source: Source
    loader: Built
    path: str | None = None  # of a file of the user's own, and its columns
    prompt: Column | None = None
    target: Column | None = None


@dataclass
class CasesData:
    name: str
    source: Source
