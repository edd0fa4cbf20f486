"""From a composed config to a finished run: identity, parents, the run folder; no torch until a run starts."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from rftlab import runs
from rftlab.entry.checks import check, reject_unknown_keys

log = logging.getLogger("rftlab")

GROUPS_OF_PARENT = ("scale", "data", "model")  # what a parent shares with its child by group


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run that is composed and checked: its resolved config, identity and the run that must come first."""

    config: dict[str, Any]
    key: str
    folder: Path
    parent: "Plan | None"


def prepare(cfg: DictConfig, choices: Mapping[str, str] | None = None) -> Plan:
    """Check a composed config and give the run its identity; starts nothing.

    Raises:
        UserError: On an unknown key, a value out of range, or a combination that cannot work.
    """
    choices = HydraConfig.get().runtime.choices if choices is None else choices
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.pop("hydra", None)
    reject_unknown_keys(cfg)
    config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(config, dict)
    config = {str(key): value for key, value in config.items()}
    check(config)
    parent = None
    if config["parent"] is not None:
        parent = prepare(_compose_parent(config, choices), choices)
        config["init_from"] = parent.key
    key = runs.run_key(config)
    folder = runs.run_folder(Path(config["paths"]["outputs"]), config["sweep"]["name"], config["name"], key)
    return Plan(config=config, key=key, folder=folder, parent=parent)


def _compose_parent(config: Mapping[str, Any], choices: Mapping[str, str]) -> DictConfig:
    """Compose the parent from its own groups, then give it the child's data, model and seed.

    The sampling settings are the child's alone, so that runs which differ in them share one parent; what counts
    iterations of the child's loop means nothing in another loop.
    """
    groups = [f"{group}={choices[group]}" for group in GROUPS_OF_PARENT]
    loader = GlobalHydra.instance().config_loader()
    cfg = loader.load_configuration("train", [*groups, *config["parent"]["overrides"]], run_mode=RunMode.RUN)
    shared = {name: config[name] for name in ("seed", "model", "sweep", "paths", "tracking")}
    shared["data"] = {k: v for k, v in config["data"].items() if k != "rollout"}
    shared["eval"] = {k: v for k, v in config["eval"].items() if k != "every"}  # which counts other steps there
    shared["runtime"] = {k: v for k, v in config["runtime"].items() if k != "checkpoint_every"}
    cfg.merge_with(shared)
    return cfg


def execute(plan: Plan) -> dict[str, float]:
    """Run the plan, its parent first; a finished run gives its metrics at once, a live one is left alone.

    Returns:
        The final metrics; empty when another live process works on the same run.
    """
    outputs = Path(plan.config["paths"]["outputs"])
    for record in runs.find_key(outputs, plan.key):
        if record.final is not None:
            log.info("%s is done: %s", record.folder, summary(record.final))
            return record.final
    if plan.parent is not None:
        execute(plan.parent)
    from rftlab.entry.training import train  # torch and transformers load here, not for --help or a finished run

    try:
        return train(plan)
    except runs.RunIsDone as done:  # another process finished it since we looked
        return done.final
    except runs.RunIsLive as live:
        log.info("left alone: %s", live)
        return {}


def summary(final: Mapping[str, float]) -> str:
    """Say the final evaluation in a few words."""
    names = ("eval/train/reward", "eval/validation/reward", "eval/test/reward", "policy/kl")
    return ", ".join(f"{name} {final[name]:.3f}" for name in names if name in final) or "no evaluation"
