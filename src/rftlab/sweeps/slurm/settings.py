"""What jobs ask of a cluster, and what is the same for all jobs of a sweep."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from rftlab.sweeps.slurm.refusal import Refused


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job asks for; a job's own `resources` replace those of the launcher one by one."""

    partition: str | None = None
    gpus_per_node: int | None = None
    gpu_type: str | None = None
    cpus_per_task: int | None = None
    mem_gb: float | None = None
    timeout_min: int | None = None

    def changed(self, own: Mapping[str, Any]) -> "Resources":
        """Return these with what a job sets itself."""
        return replace(self, **{name: value for name, value in own.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class SlurmSettings:
    """Everything about a cluster that is the same for all jobs of a sweep."""

    resources: Resources
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    array_parallelism: int = 256
    setup: list[str] = field(default_factory=list)
    signal_delay_s: int = 120
    max_time_limits: int = 20
    max_array_size: int | None = None
    submit_limit: int | None = None
    wait: bool = True
    poll_s: float = 5.0
    use_srun: bool = True
    sbatch: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SlurmSettings":
        """Make settings from plain data in which resources stand beside the rest."""
        names = {f.name for f in fields(Resources)}
        resources = Resources(**{name: value for name, value in values.items() if name in names})
        return cls(resources=resources, **{name: value for name, value in values.items() if name not in names})

    def to_dict(self) -> dict[str, Any]:
        """Invert `from_dict`."""
        plain = asdict(self)
        return {**plain.pop("resources"), **plain}


def check_resources(asked: Resources, settings: SlurmSettings) -> None:
    """Refuse what cannot work on any cluster.

    Raises:
        Refused: A time limit that ends with its own warning, or a type of GPU without a number.
    """
    limit, delay = asked.timeout_min, settings.signal_delay_s
    if limit is not None and 60 * limit <= delay + 60:
        raise Refused(
            f"timeout_min={limit}, which SLURM announces {delay} s before its end",
            f"more than signal_delay_s={delay} plus a minute",
            "hydra.launcher.timeout_min, hydra.launcher.signal_delay_s or resources.timeout_min",
        )
    if asked.gpu_type is not None and not asked.gpus_per_node:
        raise Refused(
            f"gpu_type={asked.gpu_type} without GPUs",
            "a number of them",
            "hydra.launcher.gpus_per_node or resources.gpus_per_node",
        )
