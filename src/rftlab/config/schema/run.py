"""Fields of `conf/train.yaml`: what every run has, whatever it trains."""

from dataclasses import dataclass
from typing import Any, Literal

from rftlab.ranges import Built, Device, NonNegative, Positive, RunKey, Samples


@dataclass
class Sweep:
    name: str
    dry_run: bool
    snapshot: bool
    page: bool


@dataclass
class Parent:
    overrides: list[str]


@dataclass
class Eval:
    every: Positive[int]
    n_train: Positive[int]
    n_validation: Positive[int]
    n_test: Positive[int]
    batch_size: Positive[int]
    probe_prompts: Positive[int]
    probe_samples: Samples
    probe_every: Positive[int] | None
    probe_prompts_during: Positive[int]
    probe_null: bool
    std_below: NonNegative[float]
    n_logged: NonNegative[int]
    kl_to_start: bool


@dataclass
class Tracking:
    uri: str | None
    log_model: Literal["auto", "always", "never"]
    send_every_s: Positive[float]
    close_timeout_s: Positive[float]


@dataclass
class Paths:
    outputs: str
    figures: str
    hub_mirror: str | None


@dataclass
class Runtime:
    device: Device
    threads: Positive[int] | None
    head_chunk: Positive[int] | None
    share_trunk: bool
    gradient_checkpointing: bool
    memory_gib: Positive[float] | None
    memory_check: Literal["least", "longest", "off"]
    progress: Literal["auto", "always", "never"]
    checkpoint_every: Positive[int]


@dataclass
class Resources:
    partition: str | None
    gpus_per_node: NonNegative[int] | None
    gpu_type: str | None
    cpus_per_task: Positive[int] | None
    mem_gb: Positive[float] | None
    timeout_min: Positive[int] | None


@dataclass
class Run:
    name: str
    seed: NonNegative[int]
    scale: str
    init_from: RunKey | None
    sweep: Sweep
    parent: Parent | None
    model: Any
    data: Any
    reward: Built | None
    gold: Built | None
    algo: Any
    optimizer: Any
    heuristic: Any
    eval: Eval
    tracking: Any
    paths: Any
    runtime: Runtime
    resources: Resources
