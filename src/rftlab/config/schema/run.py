"""Types of what every run has, whatever it trains."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from rftlab.config.schema.optimizer import OptimizerConfig


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
