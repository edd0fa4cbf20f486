"""Sweeper of rftlab that searches: Optuna asks for trials, each an ordinary run per seed."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.rftlab_sweeper import axes_of, composer_of, settings_of
from rftlab.config.checks import check_hydra
from rftlab.errors import UserError


class SearchSweeper(Sweeper):
    """Check the space, then run the trials that are missing."""

    def __init__(self, **values: Any) -> None:
        """Take the keys of `conf/hydra/sweeper/optuna.yaml`."""
        self._values = values

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives, check the settings and make the launcher.

        Raises:
            UserError: Settings of a grid, or one that cannot be.
        """
        from rftlab.config.search_settings import check_settings

        check_hydra(config.hydra)
        node = OmegaConf.to_container(config.hydra.sweeper)
        assert isinstance(node, dict)
        check_settings({str(key): value for key, value in node.items()}, self._values)
        self._config = config
        self._node: Mapping[str, Any] = {str(key): value for key, value in node.items()}
        self._loader = hydra_context.config_loader
        self._launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the search; ends the process with an exit code other than 0 when a run failed."""
        from rftlab.config.search_settings import asked_of
        from rftlab.launch.whole_search import run_search
        from rftlab.sweeps.table import make_console

        if not hasattr(self._launcher, "run"):  # a launcher of Hydra's own, which knows overrides only
            raise UserError("hydra/sweeper=optuna with this launcher", "local or slurm", "hydra/launcher")
        composer = composer_of(self._config, self._loader)
        asked = asked_of(self._node, self._values, self._parsed(arguments), composer.job)
        code = run_search(settings_of(self._config), asked, self._launcher, make_console())
        if code:
            sys.exit(code)
        return []

    def _parsed(self, arguments: Sequence[str]) -> list[Any]:
        """Parse the axes of a sweep file and the command line's, which replace them."""
        parser = OverridesParser.create(config_loader=self._loader)
        parsed = parser.parse_overrides([*axes_of(dict(self._node["params"] or {})), *arguments])
        return list({override.get_key_element(): override for override in parsed}.values())
