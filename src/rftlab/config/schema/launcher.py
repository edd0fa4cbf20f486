"""Types of `conf/hydra/launcher`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class LocalLauncherConf:
    _target_: str = "hydra_plugins.rftlab_local.LocalLauncher"
    slots: int | None = None


@dataclass
class SlurmLauncherConf:
    _target_: str = "hydra_plugins.rftlab_slurm.SlurmLauncher"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus_per_node: int | None = None
    gpu_type: str | None = None
    cpus_per_task: int | None = None
    mem_gb: float | None = None
    timeout_min: int | None = None
    array_parallelism: int = MISSING
    setup: list[str] = field(default_factory=list)
    signal_delay_s: int = MISSING
    max_time_limits: int = MISSING
    max_array_size: int | None = None
    submit_limit: int | None = None
    wait: bool = MISSING
    poll_s: float = MISSING
    use_srun: bool = MISSING
    sbatch: dict[str, Any] = field(default_factory=dict)
