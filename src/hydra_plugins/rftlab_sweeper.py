"""Sweeper of rftlab: a grid, or a union of grids, of which only what is missing is run."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from rftlab.commands.arguments import check_override
from rftlab.config.checks import check_hydra
from rftlab.config.options import options
from rftlab.config.texts import kept
from rftlab.errors import UserError

MOST_JOBS = 100_000  # composing them takes an hour
LONG = 100  # jobs, whose composing shows how far it is


@dataclass
class SweeperConf:
    _target_: str = "hydra_plugins.rftlab_sweeper.ResumingSweeper"
    params: dict[str, Any] = field(default_factory=dict)  # axes of the grid: KEY: "value,value"
    grids: list[dict[str, Any]] | None = None  # several grids, of which the sweep is the union
    scales: dict[str, Any] = field(default_factory=dict)  # SCALE -> the same, in place of `grids` at this scale


ConfigStore.instance().store(group="hydra/sweeper", name="rftlab", node=SweeperConf, provider="rftlab")


class ResumingSweeper(Sweeper):
    """Compose and check all jobs, then launch those that are neither done nor running, parents first."""

    def __init__(
        self,
        params: Mapping[str, Any] | None,
        grids: Sequence[Mapping[str, Any]] | None,
        scales: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    ) -> None:
        """Take the axes that a sweep file sets; those of the command line replace them key by key."""
        self._params = dict(params or {})
        self._grids = [dict(grid) for grid in grids or [{}]]
        self._scales = {scale: [dict(grid) for grid in of_scale] for scale, of_scale in (scales or {}).items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives and make its launcher."""
        check_hydra(config.hydra)
        self._config = config
        self._loader = hydra_context.config_loader
        self._launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep; ends the process with an exit code other than 0 when a job failed."""
        from rftlab.launch.whole_sweep import run_sweep

        grid = self.overrides(arguments)
        sweep = settings_of(self._config)
        if not hasattr(self._launcher, "run"):  # a launcher of Hydra's own, which knows overrides only
            self._jobs(grid)
            if sweep.dry_run:
                raise UserError("sweep.dry_run=true with this launcher", "local or slurm", "hydra/launcher")
            return [self._launcher.launch(grid, initial_job_idx=0)]
        from rftlab.sweeps.table import make_console

        code = run_sweep(sweep, self._jobs(grid), self._launcher, make_console())
        if code:
            sys.exit(code)
        return []

    def overrides(self, arguments: Sequence[str]) -> list[list[str]]:
        """Expand the grids into the overrides of each job."""
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        parser = OverridesParser.create(config_loader=self._loader)
        jobs = []
        for grid in self._grids_of(arguments):
            parsed = parser.parse_overrides([*axes_of({**self._params, **grid}), *arguments])
            total = 1
            for override in parsed:
                total *= _count(override, MOST_JOBS // total + 1)
                if total > MOST_JOBS:
                    found = f"{override.input_line}, with which the sweep has more than {MOST_JOBS} jobs"
                    raise UserError(found, "fewer values", override.get_key_element())
            (batch,) = BasicSweeper.split_arguments(parsed, None)
            jobs += batch
        return jobs

    def _grids_of(self, arguments: Sequence[str]) -> list[dict[str, Any]]:
        """Return the grids at the scale of the command line.

        Raises:
            UserError: They depend on the scale, and it is varied.
        """
        if not self._scales:
            return self._grids
        given = [word.removeprefix("scale=") for word in arguments if word.startswith("scale=")]
        scales = given or [self._config.scale]
        if re.search(r"\W", scales[-1]):
            raise UserError(f"scale={scales[-1]} with a sweep whose grids depend on the scale", "one scale", "scale")
        return self._scales.get(scales[-1], self._grids)

    def _jobs(self, grid: Sequence[Sequence[str]]) -> list[Any]:
        from rftlab.bars import make_console, track

        composer = composer_of(self._config, self._loader)
        shown = track(grid, "composing", console=make_console()) if len(grid) > LONG else grid
        return [composer.job(overrides) for overrides in shown]


def axes_of(params: Mapping[str, Any]) -> list[str]:
    """Write the axes of a sweep file as overrides.

    Raises:
        UserError: Hydra would take one for something else.
    """
    axes = [f"{key}={_word(value)}" for key, value in params.items()]
    for axis in axes:
        check_override(axis)
    return [*map(kept, axes)]


def composer_of(config: DictConfig, loader: Any) -> Any:
    """Make what composes the jobs of a sweep, under its own choices of Hydra's groups."""
    from rftlab.config.compose import Composer

    hydra_overrides = OmegaConf.to_container(config.hydra.overrides.hydra)
    assert isinstance(hydra_overrides, list)
    return Composer(loader, config.hydra.job.config_name, list(map(str, hydra_overrides)))


def settings_of(config: DictConfig) -> Any:
    """Return what no job of a sweep has of its own."""
    from rftlab.launch.whole_sweep import Sweep

    return Sweep(
        name=config.sweep.name,
        outputs=Path(config.paths.outputs),
        dry_run=config.sweep.dry_run,
        page=config.sweep.page,
        config=OmegaConf.to_yaml(config),
    )


def _count(override: Override, most: int) -> int:
    """Count the values of an override up to `most`.

    Raises:
        UserError: There is none, or they cannot be counted.
    """
    if not override.is_sweep_override():
        return 1
    key = override.get_key_element()
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line}, which is no list of values", f"{key}=1,2 or range, or hydra/sweeper=optuna", key
        )
    try:
        count = sum(1 for _ in islice(override.sweep_iterator(), most))
    except ValueError:  # of a step of 0
        raise UserError(
            f"{override.input_line}, which never ends", f"{key}=range(0,3), or a step above 0", key
        ) from None
    if count == 0:
        raise UserError(f"{override.input_line}, which matches nothing", _options_of(key), key)
    return count


def _options_of(key: str) -> str:
    names = options(key)
    return f"some of {', '.join(names)}" if names else "at least one value (glob chooses among options of a group)"


def _word(value: Any) -> str:
    """Write an axis that is set on the command line, where a sweep file has its characters."""
    plain: Any = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return plain if isinstance(plain, str) else Override._get_value_element_as_str(plain)
