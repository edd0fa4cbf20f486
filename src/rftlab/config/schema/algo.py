"""Types of `conf/algo`: losses and loops."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


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
    loop: Any = MISSING


@dataclass
class APAConfig:
    name: str = MISSING
    loss: APALossConfig = field(default_factory=APALossConfig)
    loop: Any = MISSING


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
    reward_low: float = MISSING
    reward_high: float = MISSING


@dataclass
class DiagnoseConfig:
    name: str = MISSING
    loss: Any = None
    loop: DiagnoseLoopConfig = field(default_factory=DiagnoseLoopConfig)


@dataclass
class TimeSeparationConfig:
    _target_: str = "rftlab.loops.theory.TimeSeparation"
    n_labels: int = MISSING
    n_pretraining_labels: int = MISSING
    std_low: float = MISSING
    std_high: float = MISSING
    points: int = MISSING
    descent_step: float = MISSING
    descent_budget: int = MISSING


@dataclass
class PPOGradientConfig:
    _target_: str = "rftlab.loops.theory.PPOGradient"
    n_labels: list[int] = MISSING
    clip_range: float = MISSING
    cases: int = MISSING
    tv_low: float = MISSING
    tv_high: float = MISSING


@dataclass
class SoftmaxBoundConfig:
    _target_: str = "rftlab.loops.theory.SoftmaxBound"
    n_labels: list[int] = MISSING
    cases: int = MISSING


@dataclass
class LabelBoundConfig:
    _target_: str = "rftlab.loops.bounds.LabelBound"
    inputs_per_group: int = MISSING


@dataclass
class UntrainedConfig:
    name: str = MISSING
    loss: Any = None
    loop: Any = MISSING
    labels: str | None = None


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
