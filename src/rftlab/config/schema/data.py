"""Types of `conf/data`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class LoaderConfig:
    _target_: str = MISSING
    hub_id: str = MISSING
    hub_config: str | None = None
    n_train: int | None = None
    n_validation: int | None = None
    n_test: int | None = None
    seed: int = MISSING


@dataclass
class CorpusConfig:
    _target_: str = MISSING
    n_train: int = MISSING
    n_validation: int = MISSING
    seed: int = MISSING


@dataclass
class SamplingConfig:
    _target_: str = "rftlab.types.Sampling"
    temperature: float = MISSING
    top_k: int = MISSING
    top_p: float = MISSING
    min_new_tokens: int = MISSING
    max_new_tokens: int = MISSING


@dataclass
class BeamSearchConfig:
    _target_: str = "rftlab.types.BeamSearch"
    num_beams: int = MISSING
    length_penalty: float = MISSING
    min_new_tokens: int = MISSING
    max_new_tokens: int = MISSING


@dataclass
class RougeConfig:
    _target_: str = "rftlab.rewards.rouge.RougeLMax"
    word_limit: int = MISSING
    stem: bool = MISSING


@dataclass
class SentimentConfig:
    _target_: str = "rftlab.rewards.sentiment.load"
    source: str = MISSING
    tokenizer: str | None = None
    max_tokens: int = MISSING
    batch_size: int = MISSING


@dataclass
class PromptConfig:
    max_tokens: int = MISSING
    truncation_side: str = MISSING


@dataclass
class TargetConfig:
    max_tokens: int = MISSING
    append_eos: bool = MISSING


@dataclass
class DataConfig:
    name: str = MISSING
    source: str = MISSING
    loader: Any = MISSING
    prompt: PromptConfig = field(default_factory=PromptConfig)
    target: TargetConfig = field(default_factory=TargetConfig)
    rollout: Any = None
    evaluation: Any = None
    reward: Any = None
    needs_targets: bool = MISSING
    low_reward: float | None = None


@dataclass
class LabelLoaderConfig:
    _target_: str = MISSING
    hub_id: str = MISSING
    hub_config: str | None = None
    n_train: int | None = None
    n_test: int | None = None
    seed: int = MISSING


@dataclass
class LabelRewardsConfig:
    correct: float = MISSING
    wrong: float = MISSING
    wrong_modified: float = MISSING


@dataclass
class CasesDataConfig:
    name: str = MISSING
    source: str = MISSING


@dataclass
class LearningRatesConfig:
    adam: float = MISSING
    sgd: float = MISSING


@dataclass
class LabelDataConfig:
    name: str = MISSING
    source: str = MISSING
    inputs: str = MISSING
    classes: int = MISSING
    labels_per_input: int = MISSING
    modified_share: float = MISSING
    label_seed: int = MISSING
    loader: LabelLoaderConfig = field(default_factory=LabelLoaderConfig)
    rewards: LabelRewardsConfig = field(default_factory=LabelRewardsConfig)
    lr: LearningRatesConfig = field(default_factory=LearningRatesConfig)
