"""What a search is told by `conf/hydra/sweeper/optuna.yaml` and the command line, checked before anything starts."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import optuna
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler

from rftlab.config.search_space import space_of
from rftlab.config.typed import typed
from rftlab.errors import UserError
from rftlab.runs.cost import total_steps
from rftlab.sweeps.job import Job
from rftlab.sweeps.search.space import Space
from rftlab.sweeps.search.study import Rules, seed_of

WHOLE = {"n_trials": 1, "n_jobs": 1, "seed": 0}  # key -> the least it may be
MAY_BE_NULL = ("n_jobs",)
DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A search as it was asked for."""

    space: Space
    rules: Rules
    sampler: Callable[[int], BaseSampler]  # makes the one that draws the trial of a number
    pruner: BasePruner
    n_trials: int
    n_jobs: int | None
    compose: Callable[[Sequence[str]], Job]
    corners: Sequence[Job]  # of the space, with the first seed: what can be checked before the first trial is drawn
    first_look: int | None  # the first step at which a trial is judged; None where nothing is pruned


def check_settings(node: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """Check the keys of the sweeper; `made` has the sampler and the pruner as Hydra has made them.

    Raises:
        UserError: A number that is none, an unknown direction, a sampler that cannot be made.
    """
    for name, least in WHOLE.items():
        value = node[name]
        if (value is None and name in MAY_BE_NULL) or (type(value) is int and value >= least):
            continue
        raise UserError(f"hydra.sweeper.{name}={_told(value)}", f"a whole number from {least}", f"hydra.sweeper.{name}")
    for name in ("metric", "judged_by"):
        if not isinstance(node[name], str) or not node[name]:
            raise UserError(f"hydra.sweeper.{name}={_told(node[name])}", "a metric", f"hydra.sweeper.{name}")
    if node["direction"] not in DIRECTIONS:
        found = f"hydra.sweeper.direction={_told(node['direction'])}"
        raise UserError(found, " or ".join(DIRECTIONS), "hydra.sweeper.direction")
    if not isinstance(node["params"] or {}, Mapping):
        raise UserError(f"hydra.sweeper.params={node['params']}", "KEY: VALUES", "hydra.sweeper.params")
    for name in ("sampler", "pruner"):
        typed(OmegaConf.create(node[name]), lambda keys: "/".join(keys[:3]), keys=("hydra", "sweeper", name))
    _try_out(made)


def asked_of(
    node: Mapping[str, Any],
    made: Mapping[str, Any],
    overrides: Sequence[Override],
    compose: Callable[[Sequence[str]], Job],
) -> Asked:
    """Compose the ends of the space, and check what a pruner needs.

    Raises:
        UserError: The space cannot be searched, one of its ends cannot run, or runs are pruned that nobody looks at.
    """
    space = space_of(overrides, compose)
    corners = [compose(space.overrides(words, space.seeds[0])) for words in space.corners()]
    prunes = _prunes(made)
    resources = _resources(corners) if prunes else None
    return Asked(
        space=space,
        rules=Rules(
            metric=node["metric"], direction=node["direction"], judged_by=node["judged_by"] if prunes else None,
            sampler=_plain(node["sampler"]), pruner=_plain(node["pruner"]), seed=node["seed"],
        ),
        sampler=lambda number: _made("sampler", made, seed=seed_of(node["seed"], number)),
        pruner=_made("pruner", made, **(resources or {})),
        n_trials=node["n_trials"],
        n_jobs=node["n_jobs"],
        compose=compose,
        corners=corners,
        first_look=None if resources is None else resources["min_resource"],
    )  # fmt: skip


def _prunes(made: Mapping[str, Any]) -> bool:
    return not (isinstance(made["pruner"], partial) and made["pruner"].func is NopPruner)


def _try_out(made: Mapping[str, Any]) -> None:
    """Draw and judge a trial of nothing: Optuna looks at some settings no earlier."""
    sampler = _made("sampler", made, seed=0)
    pruner = _made("pruner", made, **({"min_resource": 1, "max_resource": 9} if _prunes(made) else {}))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        trial = optuna.create_study(sampler=sampler, pruner=pruner).ask()
        trial.suggest_float("x", 0.0, 1.0)
        trial.report(0.0, 1)
        trial.should_prune()
    except (TypeError, ValueError, ArithmeticError) as error:
        said = " ".join(str(error).split())
        keys = "hydra.sweeper.sampler or hydra.sweeper.pruner"
        raise UserError(f"settings that Optuna refuses: {said}", "those of the files in conf/", keys) from None


def _made(name: str, made: Mapping[str, Any], **more: Any) -> Any:
    """Make the sampler or the pruner.

    Raises:
        UserError: Optuna does not take its settings.
    """
    make = made[name]
    if not isinstance(make, partial):
        raise UserError(f"hydra.sweeper.{name}={make}", "an option of its group", f"hydra/sweeper/{name}")
    try:
        with warnings.catch_warnings(action="ignore"):  # of what is experimental in Optuna
            return make(**more)
    except (TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise UserError(
            f"hydra.sweeper.{name}: {said}", "the settings of its file in conf/", f"hydra.sweeper.{name}"
        ) from None


def _plain(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "_partial_"}


def _resources(corners: Sequence[Job]) -> dict[str, int]:
    """Return the first look and the length of the runs, which all of them must share to be compared at a step.

    Raises:
        UserError: There are no looks, or not at the same steps.
    """
    every: dict[tuple[int | None, int], None] = {}
    for job in corners:
        looks = job.config["eval"]["probe_every"]
        every[None if looks is None else int(looks), total_steps(job.config)] = None
        if job.config.get("reward") is None or job.config["data"].get("probe") is None:
            found = f"pruning of {job.name}, whose responses nobody scores"
            raise UserError(found, "hydra/sweeper/pruner=none, or a dataset with a reward", "hydra/sweeper/pruner")
    for looks, steps in every:
        if looks is None:
            found = "pruning without looks during training (eval.probe_every=null)"
            raise UserError(found, f"eval.probe_every=1 to {max(1, steps - 1)}", "eval.probe_every")
        if looks >= steps:
            found = f"pruning with the first look after {looks} of {steps} steps"
            raise UserError(found, f"eval.probe_every=1 to {max(1, steps - 1)}", "eval.probe_every")
    if len(every) > 1:
        told = " and ".join(f"{steps} steps with looks every {looks}" for looks, steps in every)
        found = f"pruning of trials that are not alike: {told}"
        raise UserError(found, "one number of steps and of looks", "the space, or hydra/sweeper/pruner=none")
    ((looks, steps),) = every
    assert looks is not None
    return {"min_resource": looks, "max_resource": steps}


def _told(value: Any) -> str:
    return "null" if value is None else str(value)
