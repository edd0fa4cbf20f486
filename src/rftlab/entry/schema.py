"""Types of the config tree; the values live in `conf/`, with a comment per key.

Every field is mandatory (`MISSING`) unless null is a meaningful value, so that a value stands in one place only.
Importing this module costs no torch: composition, `--help` and tab completion stay quick.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

# --- model --------------------------------------------------------------------------------------------------------


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
class LabelModelConfig:
    name: str = MISSING
    inputs: str = MISSING
    network: Any = MISSING


# --- data ---------------------------------------------------------------------------------------------------------


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


# --- algo ---------------------------------------------------------------------------------------------------------


@dataclass
class SFTLossConfig:
    _target_: str = "rftlab.algorithms.sft.SFT"


@dataclass
class ExpectedReinforceLossConfig:
    _target_: str = "rftlab.algorithms.expected_reinforce.ExpectedReinforce"


@dataclass
class ReinforceLossConfig:
    _target_: str = "rftlab.algorithms.reinforce.Reinforce"


@dataclass
class AdaptiveKLConfig:
    _target_: str = "rftlab.algorithms.kl_control.AdaptiveKL"
    initial: float = MISSING
    target: float | None = MISSING
    rate: float = MISSING


@dataclass
class PPOLossConfig:
    _target_: str = "rftlab.algorithms.ppo.PPO"
    clip_range: float = MISSING
    value_clip_range: float | None = MISSING
    value_coef: float = MISSING
    entropy_coef: float = MISSING
    gamma: float = MISSING
    gae_lambda: float = MISSING
    whiten_advantages: str = MISSING
    kl: AdaptiveKLConfig = field(default_factory=AdaptiveKLConfig)


@dataclass
class APALossConfig:
    _target_: str = "rftlab.algorithms.apa.APA"
    lam: float = MISSING
    value_coef: float = MISSING
    entropy_coef: float = MISSING
    gamma: float = MISSING
    gae_lambda: float = MISSING
    whiten_advantages: str = MISSING


@dataclass
class OnlineLoopConfig:
    _target_: str = "rftlab.loops.online.Online"
    iterations: int = MISSING
    prompts_per_iteration: int = MISSING
    samples_per_prompt: int = MISSING
    update_epochs: int = MISSING
    minibatch_size: int = MISSING
    microbatch_size: int = MISSING
    score_scaling: str = MISSING
    score_clip: float | None = MISSING


@dataclass
class SupervisedLoopConfig:
    _target_: str = "rftlab.loops.supervised.Supervised"
    steps: int = MISSING
    step_fraction: float = MISSING
    sample_fraction: float = MISSING
    batch_size: int = MISSING
    microbatch_size: int = MISSING


@dataclass
class PPOConfig:
    name: str = MISSING
    loss: PPOLossConfig = field(default_factory=PPOLossConfig)
    loop: OnlineLoopConfig = field(default_factory=OnlineLoopConfig)


@dataclass
class APAConfig:
    name: str = MISSING
    loss: APALossConfig = field(default_factory=APALossConfig)
    loop: OnlineLoopConfig = field(default_factory=OnlineLoopConfig)


@dataclass
class EpochsConfig:
    _target_: str = "rftlab.loops.epochs.Epochs"
    epochs: int = MISSING
    batch_size: int = MISSING
    measure_every: int = MISSING


@dataclass
class DiagnoseLoopConfig:
    _target_: str = "rftlab.loops.diagnose.Diagnose"
    n_prompts: int = MISSING
    samples_per_prompt: int = MISSING
    batch_size: int = MISSING
    bound_prompts: int = MISSING
    bound_samples: int = MISSING
    bound_prefixes: int = MISSING
    power_iterations: int = MISSING
    reward_range: tuple[float, float] = MISSING


@dataclass
class DiagnoseConfig:
    name: str = MISSING
    loss: Any = None
    loop: DiagnoseLoopConfig = field(default_factory=DiagnoseLoopConfig)


@dataclass
class SFTConfig:
    name: str = MISSING
    loss: SFTLossConfig = field(default_factory=SFTLossConfig)
    loop: Any = MISSING
    labels: str | None = None


@dataclass
class ExpectedReinforceConfig:
    name: str = MISSING
    loss: ExpectedReinforceLossConfig = field(default_factory=ExpectedReinforceLossConfig)
    loop: Any = MISSING
    labels: str | None = None


@dataclass
class ReinforceConfig:
    name: str = MISSING
    loss: ReinforceLossConfig = field(default_factory=ReinforceLossConfig)
    loop: Any = MISSING
    labels: str | None = None


# --- optimizer ----------------------------------------------------------------------------------------------------


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


# --- heuristic ----------------------------------------------------------------------------------------------------


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


# --- run-wide -----------------------------------------------------------------------------------------------------


@dataclass
class SweepConfig:
    name: str = MISSING
    dry_run: bool = MISSING
    snapshot: bool | None = None


@dataclass
class ParentConfig:
    overrides: list[str] = MISSING


@dataclass
class EvalConfig:
    every: int = MISSING
    n_train: int = MISSING
    n_validation: int = MISSING
    n_test: int = MISSING
    batch_size: int = MISSING
    probe_prompts: int = MISSING
    probe_samples: int = MISSING
    probe_every: int | None = None
    probe_prompts_during: int = MISSING
    std_below: float = MISSING
    n_logged: int = MISSING


@dataclass
class TrackingConfig:
    uri: str | None = MISSING
    send_every_s: float = MISSING
    close_timeout_s: float = MISSING


@dataclass
class PathsConfig:
    outputs: str = MISSING
    figures: str = MISSING
    hub_mirror: str | None = None


@dataclass
class RuntimeConfig:
    device: str = MISSING
    threads: int | None = None
    progress: str = MISSING
    checkpoint_every: int = MISSING


@dataclass
class ResourcesConfig:
    partition: str | None = None
    gpus_per_node: int | None = None
    gpu_type: str | None = None
    cpus_per_task: int | None = None
    mem_gb: float | None = None
    timeout_min: int | None = None


@dataclass
class RunConfig:
    name: str = MISSING
    seed: int = MISSING
    scale: str = MISSING
    init_from: str | None = None
    sweep: SweepConfig = field(default_factory=SweepConfig)
    parent: ParentConfig | None = None
    model: Any = MISSING
    data: Any = MISSING
    algo: Any = MISSING
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    heuristic: Any = MISSING
    eval: EvalConfig = field(default_factory=EvalConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)


def register() -> None:
    """Store every schema under the hidden group `schema`, where the files of `conf/` name it."""
    store = ConfigStore.instance().store
    store(group="schema", name="run", node=RunConfig)
    nodes: dict[str, dict[str, type]] = {
        "model": {"model": ModelConfig, "labels": LabelModelConfig},
        "network": {"mlp": MLPConfig, "resnet": ResNetConfig, "bert": BertConfig},
        "data": {"data": DataConfig, "labels": LabelDataConfig},
        "loader": {"dataset": LoaderConfig, "corpus": CorpusConfig, "labels": LabelLoaderConfig},
        "decoding": {"sampling": SamplingConfig, "beam": BeamSearchConfig},
        "reward": {"rouge": RougeConfig, "sentiment": SentimentConfig},
        "algo": {
            "sft": SFTConfig,
            "ppo": PPOConfig,
            "apa": APAConfig,
            "expected_reinforce": ExpectedReinforceConfig,
            "reinforce": ReinforceConfig,
            "diagnose": DiagnoseConfig,
        },
        "loop": {"supervised": SupervisedLoopConfig, "epochs": EpochsConfig},
        "optimizer": {"optimizer": OptimizerConfig},
        "build": {"adamw": AdamWConfig, "adam": AdamConfig, "sgd": SGDConfig},
        "heuristic": {
            "none": NoHeuristic,
            "learning_rate": LearningRateHeuristic,
            "temperature": TemperatureHeuristic,
            "entropy": EntropyHeuristic,
            "partial_sft": PartialSFTHeuristic,
        },
    }
    for group, options in nodes.items():
        for name, node in options.items():
            store(group=f"schema/{group}", name=name, node=node)
