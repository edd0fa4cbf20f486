"""Fields of `conf/judging.yaml`: a comparison of two runs."""

from dataclasses import dataclass
from typing import Any, Literal

from rftlab.ranges import Built, Device, NonNegative, Positive


@dataclass
class Runtime:
    device: Device
    threads: Positive[int] | None
    progress: Literal["auto", "always", "never"]


@dataclass
class Judging:
    judge: Built
    split: Literal["train", "validation", "test"]
    prompts: Positive[int]
    seed: NonNegative[int]
    resamples: Positive[int]
    batch_size: Positive[int]
    dry_run: bool
    paths: Any
    runtime: Runtime
