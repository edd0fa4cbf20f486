"""Fields of `conf/hydra/launcher`."""

from dataclasses import dataclass
from typing import Any

from rftlab.ranges import NonNegative, Positive


@dataclass
class SlurmLauncher:
    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    gpus_per_node: NonNegative[int] | None
    gpu_type: str | None
    cpus_per_task: Positive[int] | None
    mem_gb: Positive[float] | None
    timeout_min: Positive[int] | None
    array_parallelism: Positive[int]
    setup: list[str]
    signal_delay_s: Positive[int]
    max_time_limits: NonNegative[int]
    max_array_size: Positive[int] | None
    submit_limit: Positive[int] | None
    wait: bool
    poll_s: Positive[float]
    use_srun: bool
    sbatch: dict[str, Any]
