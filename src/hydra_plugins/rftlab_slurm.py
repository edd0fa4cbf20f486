"""SLURM launcher of rftlab: jobs of a sweep as arrays on a cluster."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from rftlab.config.checks import check_ranges
from rftlab.config.typed import ranges_of_target
from rftlab.errors import UserError

OURS = "hydra_plugins.rftlab_"  # sweepers that know of the identities of jobs
TARGET = "hydra_plugins.rftlab_slurm.SlurmLauncher"
OWNED = {  # options of sbatch that the launcher sets, with the key that does it, where there is one
    "job-name": "", "array": "", "output": "", "error": "", "open-mode": "", "dependency": "", "requeue": "",
    "no-requeue": "", "signal": "signal_delay_s", "wrap": "", "wait": "wait", "parsable": "", "nodes": "", "ntasks": "",
    "ntasks-per-node": "", "kill-on-invalid-dep": "", "time": "timeout_min", "mem": "mem_gb", "partition": "partition",
    "account": "account", "qos": "qos", "constraint": "constraint", "cpus-per-task": "cpus_per_task",
    "gpus-per-node": "gpus_per_node",
}  # fmt: skip


class SlurmLauncher(Launcher):
    """Submit jobs as arrays of equal resources, and follow them."""

    def __init__(self, **values: Any) -> None:
        """Take the keys of `conf/hydra/launcher/slurm.yaml`."""
        plain = {name: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for name, v in values.items()}
        self._values: dict[str, Any] = plain

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check the settings, before anything is composed.

        Raises:
            UserError: A value out of range, or another sweeper asks, which writes where it stands.
        """
        if not config.hydra.sweeper._target_.startswith(OURS):
            self.launch([], 0)
        _check(self._values)
        self._sweep_folder = Path(config.paths.outputs) / config.sweep.name
        self._snapshot = config.sweep.snapshot
        self._uri = config.tracking.uri

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Refuse: another sweeper asks for jobs one batch at a time, without their identities."""
        raise UserError(
            "hydra/sweeper of another kind with hydra/launcher=slurm", "hydra/sweeper=rftlab", "hydra/sweeper"
        )

    def begin(self) -> None:
        """Refuse a machine from which nothing can be submitted, and warn about a database that clusters damage."""
        from rftlab.launch.clusters import require_slurm, warn_about_database
        from rftlab.sweeps.fork_server import stop_server

        stop_server()  # started on the guess that the sweep is for this machine
        require_slurm()
        warn_about_database(self._uri)

    @property
    def gpus(self) -> int:
        """How many a job asks for that does not say so itself."""
        return self._values["gpus_per_node"] or 0

    def settings(self) -> Mapping[str, Any]:
        """Return what makes this launcher again."""
        return {"kind": "slurm", "snapshot": self._snapshot, **self._values}

    def queued(self, outputs: Path) -> Mapping[str, str]:
        """Return what earlier submissions still have in the queue."""
        from rftlab.launch.clusters import queued

        return queued(outputs)

    @property
    def follows(self) -> bool:
        """Whether this command stays until the jobs have ended."""
        return bool(self._values["wait"])

    @property
    def slots(self) -> int | None:
        """How many jobs run at a time; the cluster decides."""
        return None

    def run(self, jobs: Sequence[Any], queued: Mapping[str, str], console: Any, feed: Any = None) -> Mapping[str, str]:
        """Submit the jobs and follow them, and those that `feed` adds."""
        from rftlab.launch.launchers import run_remotely

        return run_remotely(jobs, queued, self._sweep_folder, self._values, self._snapshot, console, feed)


def _check(values: Mapping[str, Any]) -> None:
    ranges = [(f"hydra.launcher.{name}", rule) for name, rule in ranges_of_target(TARGET)]
    check_ranges({"hydra": {"launcher": values}}, ranges)
    for name, value in (values["sbatch"] or {}).items():
        option = str(name).lstrip("-").replace("_", "-")
        if option in OWNED:
            instead = OWNED[option] and f"hydra.launcher.{OWNED[option]}"
            expected = instead or "none: jobs are found and followed by what the launcher sets there"
            raise UserError(f"hydra.launcher.sbatch.{name}", expected, instead or f"hydra.launcher.sbatch.{name}")
        if value is False or not isinstance(value, bool | int | float | str):
            found = f"hydra.launcher.sbatch.{name}={value}"
            raise UserError(found, "a number, a text, or true for an option without a value", found.partition("=")[0])
    from rftlab.sweeps.slurm.settings import SlurmSettings, check_resources

    settings = SlurmSettings.from_dict(values)
    check_resources(settings.resources, settings)
