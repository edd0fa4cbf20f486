"""From overrides to checked jobs, quickly enough for grids of thousands.

Hydra takes a fifth of a second to compose one config. The jobs of a grid mostly differ in values, so each combination
of groups is composed once and the values of a job are set on it by Hydra's own code, read, and put back.
"""

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue

from rftlab import runs
from rftlab.config.checks import check, check_kind, missing_values, reject_unknown_keys
from rftlab.config.files import type_groups
from rftlab.config.sources import own_files
from rftlab.config.texts import kept
from rftlab.config.typed import ranges_of
from rftlab.ranges import Rule
from rftlab.sweeps.job import Job

OWN_DATA = ("rollout", "probe", "rewards")  # keys of the data that concern the child's objective alone
OWN_MODEL = ("value", "unfrozen_blocks")  # keys of the model that say what the child trains beside and in the policy
OWN_EVAL = ("every", "probe_every")  # which count the steps of the child's loop
GROUPS_OF_PARENT = ("scale", "data", "model")  # what a parent shares with its child by group
PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class _Base:
    cfg: DictConfig  # without the node of Hydra
    raw: dict[str, Any]  # the same, interpolations unresolved
    choices: dict[str, str]  # group -> option
    ranges: tuple[tuple[str, Rule], ...]  # what the types say of values


class Composer:
    """Compose and check jobs; starts nothing and imports no torch."""

    def __init__(self, loader: Any, config_name: str = "train", hydra_overrides: Sequence[str] = ()) -> None:
        """Use Hydra's config loader; `hydra_overrides` are the command line's on the node `hydra`."""
        self._loader = loader
        self._config_name = config_name
        self._hydra_overrides = tuple(hydra_overrides)
        self._parser = OverridesParser.create(config_loader=loader)
        self._parsed: dict[str, Override] = {}
        self._bases: dict[tuple[str, ...], _Base] = {}
        self._parents: dict[str, Job] = {}

    def job(self, overrides: Sequence[str]) -> Job:
        """Compose one job.

        Raises:
            UserError: On an unknown key, a value out of range, or a combination that cannot work.
            HydraException, OmegaConfBaseException: On what Hydra itself refuses.
        """
        structural, values = self._split(overrides)
        base = self._base(structural)
        plain = [override for override in values if _is_plain(override, base.raw)]
        if len(plain) < len(values):  # containers, additions and removals: on a copy
            copy = deepcopy(base.cfg)
            ConfigLoaderImpl._apply_overrides_to_config(values, copy)
            return self.resolve(copy, base.choices, overrides)
        with _values_set(base, plain) as cfg:
            return self._resolved(cfg, base.choices, overrides, base.ranges)

    def resolve(self, cfg: DictConfig, choices: Mapping[str, str], overrides: Sequence[str]) -> Job:
        """Check a config that was composed from `overrides`, and give the run its identity.

        Raises:
            UserError: On an unknown key, a value out of range, or a combination that cannot work.
        """
        type_groups(cfg, choices)
        reject_unknown_keys(cfg)
        return self._resolved(cfg, choices, overrides, ranges_of(cfg))

    def _resolved(
        self,
        cfg: DictConfig,
        choices: Mapping[str, str],
        overrides: Sequence[str],
        ranges: Iterable[tuple[str, Rule]],
    ) -> Job:
        try:
            config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
        except MissingMandatoryValue:  # groups that do not go together also lack values
            check_kind(cfg)
            raise missing_values(cfg, choices) from None
        assert isinstance(config, dict)
        config = {str(key): value for key, value in config.items()}
        check(config, ranges)
        parent = None
        if config["parent"] is not None:
            parent = self._parent(config, choices)
            config["init_from"] = parent.key
        if files := own_files(config):
            config["files"] = files
        config["overrides"] = [text for text in overrides if _of_cell(text)]
        key = runs.run_key(config)
        folder = runs.run_folder(Path(config["paths"]["outputs"]), config["sweep"]["name"], config["name"], key)
        return Job(config=config, key=key, folder=folder, parent=parent)

    def _split(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """Separate what chooses groups, or concerns Hydra, from values."""
        structural, values = [], []
        for text in overrides:
            if text not in self._parsed:
                (self._parsed[text],) = self._parser.parse_overrides([kept(text)])
            override = self._parsed[text]
            key = override.key_or_group
            if self._loader.repository.group_exists(key) or key.split(".")[0] == "hydra":
                structural.append(text)
            else:
                values.append(override)
        return tuple(structural), values

    def _base(self, structural: tuple[str, ...]) -> _Base:
        if structural not in self._bases:
            overrides = [*self._hydra_overrides, *structural]
            cfg = self._loader.load_configuration(self._config_name, overrides, run_mode=RunMode.RUN)
            choices = {str(group): option for group, option in cfg.hydra.runtime.choices.items()}
            with open_dict(cfg):
                cfg.pop("hydra")
            type_groups(cfg, choices)
            reject_unknown_keys(cfg)
            raw = OmegaConf.to_container(cfg, resolve=False)
            assert isinstance(raw, dict)
            plain = {str(key): value for key, value in raw.items()}
            self._bases[structural] = _Base(cfg=cfg, raw=plain, choices=choices, ranges=tuple(ranges_of(cfg)))
        return self._bases[structural]

    def _parent(self, config: Mapping[str, Any], choices: Mapping[str, str]) -> Job:
        """Compose the parent from its own groups, then give it the child's data, model and seed.

        Sampling settings, the rewards of labels, the value network and the layers that train are the child's alone:
        runs that differ in them share one parent. What counts iterations of the child's loop means nothing in another.
        """
        groups = [f"{group}={choices[group]}" for group in GROUPS_OF_PARENT]
        shared = {name: config[name] for name in ("seed", "sweep", "paths", "tracking", "resources")}
        shared["model"] = {k: v for k, v in config["model"].items() if k not in OWN_MODEL}
        shared["data"] = {k: v for k, v in config["data"].items() if k not in OWN_DATA}
        shared["eval"] = {k: v for k, v in config["eval"].items() if k not in OWN_EVAL}
        shared["runtime"] = {k: v for k, v in config["runtime"].items() if k != "checkpoint_every"}
        overrides = [*groups, *config["parent"]["overrides"]]
        known = repr((overrides, shared))
        if known not in self._parents:
            structural, values = self._split(overrides)
            base = self._base(structural)
            cfg = deepcopy(base.cfg)
            ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
            inherited = _differences(cfg, shared)
            cfg.merge_with(shared)
            self._parents[known] = self.resolve(cfg, base.choices, [*overrides, *inherited])
        return self._parents[known]


def _of_cell(override: str) -> bool:
    """Say whether an override concerns what all seeds of a setting share, wherever they run."""
    key = re.split(r"[/@=]", override.lstrip("+~"), maxsplit=1)[0]
    return key != "seed" and runs.of_identity(key)


def _differences(cfg: DictConfig, values: Mapping[str, Any]) -> list[str]:
    """Write as overrides what makes `cfg` have these values, where it has others."""
    words = []
    flat: dict[str, Any] = runs.flatten(values)
    for key, value in flat.items():
        found = OmegaConf.select(cfg, key, throw_on_resolution_failure=False)
        plain = OmegaConf.to_container(found, resolve=True) if OmegaConf.is_config(found) else found
        if plain != value or type(plain) is not type(value):
            words.append(f"{key}={Override._get_value_element_as_str(value)}")
    return words


def _is_plain(override: Override, raw: Mapping[str, Any]) -> bool:
    """Say whether an override changes one existing value to another, and nothing else."""
    if override.type != OverrideType.CHANGE or not isinstance(override.value(), PLAIN):
        return False
    found, value = _lookup(raw, override.key_or_group)
    return found and isinstance(value, PLAIN)


def _lookup(raw: Any, key: str) -> tuple[bool, Any]:
    for part in key.split("."):
        if not isinstance(raw, Mapping) or part not in raw:
            return False, None
        raw = raw[part]
    return True, raw


@contextmanager
def _values_set(base: _Base, overrides: Sequence[Override]) -> Generator[DictConfig]:
    """Give the composed config with values set by Hydra, and put the old ones back."""
    try:
        ConfigLoaderImpl._apply_overrides_to_config(list(overrides), base.cfg)
        yield base.cfg
    finally:
        for override in overrides:
            OmegaConf.update(base.cfg, override.key_or_group, _lookup(base.raw, override.key_or_group)[1])
