"""Local launcher of rftlab: jobs of a sweep in bounded slots of this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from rftlab.errors import UserError

OURS = "hydra_plugins.rftlab_"  # sweepers that know of the identities of jobs


class LocalLauncher(Launcher):
    """Run jobs in fresh processes, at most `slots` at a time."""

    follows = False

    def __init__(self, slots: int | None) -> None:
        """Take the number of slots; None is one per GPU, or one per core where there is no GPU."""
        self._slots = slots

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Divide the machine, before anything is composed.

        Raises:
            UserError: The slots do not fit the machine, or another sweeper asks, which writes where it stands.
        """
        if not config.hydra.sweeper._target_.startswith(OURS):
            self.launch([], 0)
        from rftlab.launch.launchers import machine_slots

        self._outputs = Path(config.paths.outputs)
        self._snapshot = config.sweep.snapshot
        self._made = machine_slots(self._slots, config.runtime.threads, config.runtime.device)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Refuse: another sweeper asks for jobs one batch at a time, without their identities."""
        raise UserError(
            "hydra/sweeper of another kind with hydra/launcher=local", "hydra/sweeper=rftlab", "hydra/sweeper"
        )

    def begin(self) -> None:
        """Start the process that imports the libraries, unless the command line has started it (`launch/early.py`)."""
        from rftlab.launch.launchers import start_workers

        start_workers(self._outputs, self._snapshot)

    @property
    def gpus(self) -> int:
        """How many a job gets."""
        return int(any(self._made.gpus))

    def settings(self) -> Mapping[str, Any]:
        """Return what makes this launcher again."""
        return {"kind": "local", "snapshot": self._snapshot, "slots": self._slots}

    def queued(self, outputs: Path) -> Mapping[str, str]:
        """Return what a cluster has of these outputs, so that no job runs here and there."""
        from rftlab.launch.clusters import queued

        return queued(outputs)

    @property
    def slots(self) -> int:
        """How many jobs run at a time."""
        return self._made.count

    def run(self, jobs: Sequence[Any], queued: Mapping[str, str], console: Any, feed: Any = None) -> Mapping[str, str]:
        """Run the jobs to their ends, and those that `feed` adds."""
        from rftlab.launch.launchers import run_locally

        return run_locally(jobs, self._made, console, feed)
