"""The files of `conf/`, the entries of their tables, and what other folders add to a config, with types."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from rftlab.config.scales import GLOBAL, Entry, where
from rftlab.config.schema import GROUPS, RUN
from rftlab.config.typed import Declared, typed

OF_HYDRA = ("defaults", "hydra")


def typed_file(root: Path, file: str, cfg: DictConfig, package: str | None) -> DictConfig:
    """Give types to what was read of a file (`GROUP/NAME`), without its tables.

    Raises:
        UserError: The file says something that its types do not know.
    """
    group = file.rpartition("/")[0]

    def place(keys: tuple[str, ...]) -> str:
        return where(root, file, keys)

    if not group and file == "train":
        return typed(cfg, place, Declared((RUN,), filled=True, besides=OF_HYDRA))
    declared = Declared(GROUPS.get(group, ()), besides=OF_HYDRA)
    if package != GLOBAL:
        return typed(cfg, place, declared)
    cfg = typed(cfg, place)
    if declared.classes and isinstance(cfg.get(group), DictConfig):
        cfg[group] = typed(cfg[group], place, declared, (group,))
    return cfg


def typed_entry(root: Path, entry: Entry) -> DictConfig:
    """Give types to the `_target_`s of an entry.

    Raises:
        UserError: The entry says something that its types do not know.
    """
    content = OmegaConf.create(dict(entry.content))
    return typed(content, lambda keys: where(root, entry.file, (*entry.keys, *keys)))


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
