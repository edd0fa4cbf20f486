"""Sweeper of rftlab: Hydra's grid, with every job checked before the first one starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore


@dataclass
class CheckedSweeperConf:
    _target_: str = "hydra_plugins.rftlab_sweeper.CheckedSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="rftlab", node=CheckedSweeperConf, provider="rftlab")


class CheckedSweeper(BasicSweeper):
    """Compose and check all jobs of the grid, so that one wrong job stops the sweep before anything runs."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Raise the first job's error, if any."""
        from rftlab.entry import jobs

        assert self.hydra_context is not None and self.config is not None
        for overrides in batch:
            cfg = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            jobs.prepare(cfg, cfg.hydra.runtime.choices)
