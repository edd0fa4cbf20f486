"""The guard of every loop that trains: nothing is made of numbers that are no longer numbers.

Loss and gradient norm are looked at before the optimiser takes its step. A network that a step itself has broken is
found before it is sampled from, evaluated or saved.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rftlab.errors import UserError

WATCHED = (
    "policy/loss",
    "sft/loss",
    "value/loss",
    "loss",
    "grad/norm",
    "policy/kl",
)  # the first that is broken is told
CHANGE = "optimizer.lr, or algo.loss"


def refuse_divergence(metrics: Mapping[str, float], step: int) -> None:
    """Stop a run whose loss, gradient or KL is no longer a number, before optimiser step `step` is taken.

    Raises:
        UserError: Which metric, and the learning rate as the key to change.
    """
    for name in WATCHED:
        if name in metrics and not math.isfinite(metrics[name]):
            raise UserError(f"{name} is {metrics[name]} at optimiser step {step}", "a finite number", CHANGE)


def refuse_broken_network(network: nn.Module, output: Tensor, step: int) -> None:
    """Stop a run whose network has become useless through optimiser step `step`, with one wait.

    Its weights are no numbers, or so large that their norm overflows, or what it says of some row is no number.

    Raises:
        UserError: What was found, and the learning rate as the key to change.
    """
    tensors = [*network.parameters(), *(buffer for buffer in network.buffers() if buffer.is_floating_point())]
    norm = nn.utils.get_total_norm([tensor.detach() for tensor in tensors])
    found = dict(
        zip(("the norm of the weights", "the output"), torch.stack([norm, output.sum()]).tolist(), strict=True)
    )
    for name, value in found.items():
        if not math.isfinite(value):
            raise UserError(f"{name} is {value} after optimiser step {step}", "a finite number", CHANGE)
