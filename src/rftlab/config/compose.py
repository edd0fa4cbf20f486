"""From overrides to checked jobs, quickly enough for grids of thousands.

Hydra takes a fifth of a second to compose one config. The jobs of a grid mostly differ in values, so each combination
of groups is composed once and the values of a job are set on it by Hydra's own code, read, and put back.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from rftlab import runs
from rftlab.config.checks import check, check_kind, missing_values, reject_unknown_keys
from rftlab.config.files import place_reward, type_groups
from rftlab.config.inheritance import (
    RESPONSES,
    as_asked,
    asks_no_reward,
    check_named_run,
    groups_of_parent,
    learns_rows,
    one_start,
    refuse_other_work,
    refuse_parent_of_rows,
    values_of_parent,
)
from rftlab.config.own_function import with_own_function
from rftlab.config.sources import own_files
from rftlab.config.texts import kept, without_null_preset
from rftlab.config.typed import ranges_of
from rftlab.errors import UserError
from rftlab.ranges import Rule
from rftlab.runs.parents import named_runs
from rftlab.sweeps.job import Job

PLAIN = (bool, int, float, str, type(None))
SEED = re.compile(r"seed=(0|[1-9]\d{0,8})")
PLAIN_REFERENCE = re.compile(r"\$\{\.*([\w.]+)\}")  # to one key, by its name


@dataclass(frozen=True)
class _Base:
    cfg: DictConfig  # without the node of Hydra
    raw: dict[str, Any]  # the same, interpolations unresolved
    plain: dict[str, Any]  # resolved, but for the references of which nobody can say what they depend on
    references: dict[str, frozenset[str] | None]  # their keys -> the words of keys that they can depend on
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
        self._seeds: dict[tuple[str, ...], Job] = {}  # a job of each setting of which a seed changes nothing else
        self._under_way: list[str] = []  # parents that are being composed, each for the one before it
        self._folders: dict[str, str] = {}  # of the user's own, read once

    def job(self, overrides: Sequence[str]) -> Job:
        """Compose one job.

        Raises:
            UserError: On an unknown key, a value out of range, or a combination that cannot work.
            HydraException, OmegaConfBaseException: On what Hydra itself refuses.
        """
        overrides = with_own_function(without_null_preset(overrides))
        if (like := self._other_seed(overrides)) is not None:
            return like
        structural, values = self._split(overrides)
        base = self._base(structural)
        plain = [override for override in values if _is_plain(override, base.raw)]
        if len(plain) < len(values):  # containers, additions and removals: on a copy
            copy = deepcopy(base.cfg)
            ConfigLoaderImpl._apply_overrides_to_config(values, copy)
            return self.resolve(copy, base.choices, overrides)
        with _values_set(base, plain) as cfg:
            try:
                config = _container(base, plain)
            except MissingMandatoryValue:
                raise _missing(cfg, base.choices) from None
            job = self._job(config, base.choices, overrides, base.ranges)
        refers = any("${" in word for word in overrides)
        refers |= any(words is None or "seed" in words for words in base.references.values())
        if not job.parents and not refers:
            kept = replace(job, config=_copy(job.config))  # whoever gets the job may change its lists
            self._seeds[_without_seed(overrides)] = kept
        return job

    def _other_seed(self, overrides: Sequence[str]) -> Job | None:
        """Give the job of another seed of a setting that was composed and checked; None of all other jobs.

        Nothing of such a setting refers to the seed, and it has no parents, which take it over.
        """
        seeds = [int(found.group(1)) for word in overrides if (found := SEED.fullmatch(word))]
        like = self._seeds.get(_without_seed(overrides)) if len(seeds) == 1 else None
        return None if like is None else _identified({**_copy(like.config), "seed": seeds[0]}, like.parents)

    def resolve(self, cfg: DictConfig, choices: Mapping[str, str], overrides: Sequence[str]) -> Job:
        """Check a config that was composed from `overrides`, and give the run its identity.

        Raises:
            UserError: On an unknown key, a value out of range, or a combination that cannot work.
        """
        place_reward(cfg, choices, self._option)
        type_groups(cfg, choices)
        reject_unknown_keys(cfg)
        try:
            config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
        except MissingMandatoryValue:
            raise _missing(cfg, choices) from None
        assert isinstance(config, dict)
        plain = {str(key): value for key, value in config.items()}
        return self._job(plain, choices, overrides, ranges_of(cfg))

    def _job(
        self,
        config: dict[str, Any],
        choices: Mapping[str, str],
        overrides: Sequence[str],
        ranges: Iterable[tuple[str, Rule]],
    ) -> Job:
        if asks_no_reward(config) and str(choices.get("reward")).startswith("default/"):
            config["reward"] = None  # of the data, which may be such a reward model itself
        check(config, ranges)
        parents = self._parents_of(config, choices, overrides)
        if files := own_files(config, self._folders):
            config["files"] = files
        config["overrides"] = [text for text in overrides if _of_cell(text)]
        return _identified(config, parents)

    def _split(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """Separate what chooses groups, or concerns Hydra, from values."""
        structural, values = [], []
        for text in overrides:
            override = self._parse(text)
            key = override.key_or_group
            if self._loader.repository.group_exists(key) or key.split(".")[0] == "hydra":
                structural.append(text)
            else:
                values.append(override)
        return tuple(structural), values

    def _parse(self, text: str) -> Override:
        if text not in self._parsed:
            (self._parsed[text],) = self._parser.parse_overrides([kept(text)])
        return self._parsed[text]

    def _base(self, structural: tuple[str, ...]) -> _Base:
        if structural not in self._bases:
            overrides = [*self._hydra_overrides, *structural]
            cfg = self._loader.load_configuration(self._config_name, overrides, run_mode=RunMode.RUN)
            choices = {str(group): option for group, option in cfg.hydra.runtime.choices.items()}
            with open_dict(cfg):
                cfg.pop("hydra")
            place_reward(cfg, choices, self._option)
            type_groups(cfg, choices)
            reject_unknown_keys(cfg)
            raw = OmegaConf.to_container(cfg, resolve=False)
            assert isinstance(raw, dict)
            self._bases[structural] = _base_of(cfg, {str(key): value for key, value in raw.items()}, choices)
        return self._bases[structural]

    def _option(self, path: str) -> DictConfig | None:
        found = self._loader.repository.load_config(path)
        return None if found is None or not isinstance(found.config, DictConfig) else found.config

    def _parents_of(
        self, config: dict[str, Any], choices: Mapping[str, str], overrides: Sequence[str]
    ) -> tuple[Job, ...]:
        """Compose the runs that must be finished first, and write their keys into the config.

        Where the key of a run is given, nothing is composed, and `parent` becomes null, as it says nothing of that run.
        """
        found: dict[str, Job] = {}
        asked = {**config, "reward": as_asked(config["reward"]), "gold": None}  # before a run in it gets its key
        config["parent"] = one_start(config, choices.get("start"))
        if config["parent"] is not None:
            parent = self._parent(asked, choices, config["parent"]["overrides"], "parent")
            config["init_from"] = parent.key
            found[parent.key] = parent
        for place, node in list(named_runs(config)):
            if place == RESPONSES and learns_rows(config):
                refuse_parent_of_rows(overrides)
                node.update(parent=None)
                continue
            check_named_run(place, node, overrides)
            if node["run"] is not None:
                node["parent"] = None
                continue
            parent = self._parent(asked, choices, node["parent"]["overrides"], f"{place}.parent")
            refuse_other_work(place, node, parent.config)
            node["run"] = parent.key
            found[parent.key] = parent
        return tuple(found.values())

    def _parent(self, config: Mapping[str, Any], choices: Mapping[str, str], own: Sequence[str], place: str) -> Job:
        """Compose a parent from its own groups, then give it the child's data, model, reward and seed.

        What its own overrides say stays.
        """
        own = without_null_preset(own)
        named = {override.key_or_group: override.value() for override in map(self._parse, own)}
        shared = values_of_parent(config, named, place)
        overrides = [*groups_of_parent(config, choices, named, place), *own]
        known = repr((overrides, shared))
        if known in self._under_way:
            found = f"{place}.overrides=[{','.join(own)}], a parent that needs itself first"
            raise UserError(found, "parents that lead to a run without one", f"{place}.overrides")
        if known not in self._parents:
            self._under_way.append(known)
            try:
                self._parents[known] = self._composed(overrides, shared)
            finally:
                self._under_way.pop()
        return self._parents[known]

    def _composed(self, overrides: Sequence[str], shared: Mapping[str, Any]) -> Job:
        """Compose a job of which values are shared with another one, but for those that its overrides set."""
        structural, values = self._split(overrides)
        base = self._base(structural)
        cfg = deepcopy(base.cfg)
        ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
        inherited = _differences(cfg, shared)
        with open_dict(cfg):  # arguments of a function of the user's own stand in no file
            cfg.merge_with(shared)
        changes = [override for override in values if override.type == OverrideType.CHANGE]
        ConfigLoaderImpl._apply_overrides_to_config(changes, cfg)
        own = tuple(override.key_or_group for override in values)
        words = [word for word in inherited if not _lies_in(word.partition("=")[0], own)]
        return self.resolve(cfg, base.choices, [*overrides, *words])


def _identified(config: dict[str, Any], parents: tuple[Job, ...]) -> Job:
    key = runs.run_key(config)
    folder = runs.run_folder(Path(config["paths"]["outputs"]), config["sweep"]["name"], config["name"], key)
    return Job(config=config, key=key, folder=folder, parents=parents)


def _without_seed(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in overrides if not SEED.fullmatch(word))


def _lies_in(key: str, keys: Sequence[str]) -> bool:
    """Say whether a dotted key is one of these, or below one of them."""
    return any(f"{key}.".startswith(f"{other}.") for other in keys)


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


def _base_of(cfg: DictConfig, raw: dict[str, Any], choices: dict[str, str]) -> _Base:
    references = words_behind(dict(_references(raw)))
    known = {}
    for key, words in references.items():
        if words is not None:
            try:
                known[key] = _resolved(cfg, key)
            except OmegaConfBaseException:  # which the values of a job may mend
                references[key] = None
    return _Base(cfg, raw, _with(raw, known), references, choices, tuple(ranges_of(cfg)))


def _references(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Give keys and texts of what is not a plain value: interpolations, missing values, lists."""
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _references(value, f"{prefix}{name}.")
        elif isinstance(value, list) or (isinstance(value, str) and ("${" in value or value == MISSING)):
            yield f"{prefix}{name}", str(value)


def words_behind(texts: Mapping[str, str]) -> dict[str, frozenset[str] | None]:
    """Give the words of keys that each reference can depend on, through others too; None where nobody can say."""
    words = {key: _words(text) for key, text in texts.items()}
    for _ in words:  # a chain of references has at most so many links
        for key, own in words.items():
            for other, behind in words.items():
                if own is not None and other != key and other.split(".")[-1] in own:
                    own = None if behind is None else own | behind
            words[key] = own
    return words


def _words(text: str) -> frozenset[str] | None:
    named = PLAIN_REFERENCE.findall(text)
    if text.count("${") != len(named) or MISSING in text:
        return None
    return frozenset(word for name in named for word in name.split("."))


def _container(base: _Base, overrides: Sequence[Override]) -> dict[str, Any]:
    """Return the values of the config, resolved: those of its base but for what `overrides` set and what refers to it.

    It is `OmegaConf.to_container` for a config that differs from its base in the values of these overrides.
    """
    keys = [override.key_or_group for override in overrides]
    changed = {word for key in keys for word in key.split(".")}
    keys += [key for key, words in base.references.items() if words is None or words & changed]
    return _with(base.plain, {key: _resolved(base.cfg, key) for key in keys})


def _with(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a config with values set at dotted keys."""
    config = _copy(config)
    for key, value in values.items():
        *path, name = key.split(".")
        node = config
        for part in path:
            node = node[part]
        node[name] = value
    return config


def _resolved(cfg: DictConfig, key: str) -> Any:
    value = OmegaConf.select(cfg, key, throw_on_missing=True)
    return OmegaConf.to_container(value, resolve=True, throw_on_missing=True) if OmegaConf.is_config(value) else value


def _copy(node: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _copy(value) if isinstance(value, dict) else _own(value) for name, value in node.items()}


def _own(value: Any) -> Any:
    return deepcopy(value) if isinstance(value, list) else value  # plain values need no copy, which takes long


def _missing(cfg: DictConfig, choices: Mapping[str, str]) -> UserError:
    check_kind(cfg)  # groups that do not go together also lack values
    return missing_values(cfg, choices)


@contextmanager
def _values_set(base: _Base, overrides: Sequence[Override]) -> Generator[DictConfig]:
    """Give the composed config with values set by Hydra, and put the old ones back."""
    try:
        ConfigLoaderImpl._apply_overrides_to_config(list(overrides), base.cfg)
        yield base.cfg
    finally:
        for override in overrides:
            OmegaConf.update(base.cfg, override.key_or_group, _lookup(base.raw, override.key_or_group)[1])
