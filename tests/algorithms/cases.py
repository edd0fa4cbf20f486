"""The algorithms as tests see them: all that lie in the folder, by their configs; gradients, and parts of a batch."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import torch
import yaml
from hydra.utils import get_class
from torch import Tensor

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.types import Algorithm, Experience, Forward, LossOutput

CONF = Path(__file__).parents[2] / "conf" / "algo"


def losses(node: object) -> Iterator[dict]:
    """Find the nodes `loss` of a config file, in its tables too."""
    if isinstance(node, dict):
        for name, child in node.items():
            if name == "loss" and isinstance(child, dict) and "_target_" in child:
                yield child
            yield from losses(child)


def found(**values: object) -> dict[str, Algorithm]:
    """Build every algorithm that credits the scores of responses, as its file says but for values of fields it has."""
    made = {}
    for path in sorted(CONF.glob("*.yaml")):
        for node in losses(yaml.safe_load(path.read_text())):
            if "whiten_advantages" in node:
                control = {"kl": AdaptiveKL(**node["kl"])} if "kl" in node else {}
                referring = {name: 8 for name, value in node.items() if str(value).startswith("${")}  # to a length
                given = {name: value for name, value in (node | control | referring).items() if name != "_target_"}
                algorithm = get_class(node["_target_"])(**given)
                made[path.stem] = replace(algorithm, **{name: values[name] for name in values if has(algorithm, name)})
    return made


def has(algorithm: Algorithm, name: str) -> bool:
    """Say whether an algorithm has a value of this name in its config."""
    return name in {field.name for field in fields(algorithm)}


def gradients(loss: Tensor, new: Forward) -> tuple[Tensor, ...]:
    """Differentiate by log-probabilities, values and entropies; 0 where the loss does not read them."""
    assert new.values is not None and new.entropy is not None
    leaves = (new.logprobs, new.values, new.entropy)
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return tuple(torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True))


def changed(new: Forward, change: Callable[[Tensor], Tensor]) -> Forward:
    """Change every tensor of a forward pass; what it lacks it lacks after."""
    columns = {field.name: getattr(new, field.name) for field in fields(new)}
    return Forward(**{name: None if column is None else change(column) for name, column in columns.items()})


def part(new: Forward, index: slice) -> Forward:
    return changed(new, lambda column: column[index])


def rows(batch: Experience, index: slice) -> Experience:
    return batch.rows(torch.arange(len(batch.unit))[index])


def total(parts: list[LossOutput]) -> Tensor:
    return torch.stack([part.loss for part in parts]).sum()
