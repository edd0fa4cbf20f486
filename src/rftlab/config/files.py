"""The files of `conf/`, the entries of their tables, and what other folders add to a config, with types."""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from rftlab.config.scales import GLOBAL, Entry, where
from rftlab.config.schema import GROUPS, ROOTS
from rftlab.config.typed import Declared, typed
from rftlab.errors import UserError

OF_HYDRA = ("defaults", "hydra")


def typed_file(root: Path, file: str, cfg: DictConfig, package: str | None) -> DictConfig:
    """Give types to what was read of a file (`GROUP/NAME`), without its tables.

    Raises:
        UserError: The file says something that its types do not know.
    """
    group = file.rpartition("/")[0]

    def place(keys: tuple[str, ...]) -> str:
        return where(root, file, keys)

    if file in ROOTS:
        return typed(cfg, place, Declared((ROOTS[file],), filled=True, besides=OF_HYDRA))
    declared = Declared(GROUPS.get(group, ()), besides=OF_HYDRA)
    if _builds_on_another(cfg):
        return typed(cfg, place)  # its values are merged into those of the other file, which has types
    if package != GLOBAL:
        return typed(cfg, place, declared)
    cfg = typed(cfg, place)
    if declared.classes and isinstance(cfg.get(group), DictConfig):
        cfg[group] = typed(cfg[group], place, declared, (group,))
    return cfg


def _builds_on_another(cfg: DictConfig) -> bool:
    """Say whether a file has values for another file of its group (`defaults: [hub, _self_]`)."""
    return any(isinstance(item, str) and item != "_self_" for item in cfg.get("defaults") or ())


def typed_entry(root: Path, entry: Entry) -> DictConfig:
    """Give types to the `_target_`s of an entry.

    Raises:
        UserError: The entry says something that its types do not know.
    """
    content = OmegaConf.create(dict(entry.content))
    return typed(content, lambda keys: where(root, entry.file, (*entry.keys, *keys)))


def place_reward(cfg: DictConfig, choices: Mapping[str, str], option: Callable[[str], DictConfig | None]) -> None:
    """Take the default reward out of a dataset of a folder of the user's own, whose tables Hydra reads as values.

    A reward that was chosen goes above it; `option` reads `reward/NAME`.

    Raises:
        UserError: There is no such reward.
    """
    data = cfg.get("data")
    if not isinstance(data, DictConfig) or "reward" not in data or is_dataclass(OmegaConf.get_type(data)):
        return
    with open_dict(cfg):
        said = data.pop("reward")
        if said is None or not str(choices.get("reward", "default/")).startswith("default/"):
            return
        values = {"name": said} if isinstance(said, str) else OmegaConf.to_container(said)
        assert isinstance(values, dict)
        if (name := values.pop("name", None)) is None:
            cfg.reward = values
            return
        if (chosen := option(f"reward/{name}")) is None:
            raise UserError(f"reward: {name} in data={choices.get('data')}", "a file of conf/reward", "reward")
        cfg.reward = OmegaConf.merge(OmegaConf.to_container(chosen), values)


def type_groups(cfg: DictConfig, choices: Mapping[str, str]) -> None:
    """Give types to the groups of a composed config that were read from a folder of the user's own.

    Raises:
        UserError: The option says something that its types do not know.
    """
    for group, classes in GROUPS.items():
        node = cfg.get(group)
        if isinstance(node, DictConfig) and not is_dataclass(OmegaConf.get_type(node)):
            option = f"{group}={choices.get(group)}"
            with open_dict(cfg):
                cfg[group] = typed(node, lambda _, option=option: option, Declared(classes), (group,))
