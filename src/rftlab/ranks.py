"""Which process this is among those that train one run together, and sums over all of them.

One process alone is the usual case, and the identity of everything here. Where `torch.distributed` is initialised, each
process holds its share of the rows; every denominator, moment, metric and gradient is summed here, once per optimiser
step, so that results do not depend on how rows are divided but for rounding.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Ranks:
    """This process, number `rank` of `size`."""

    rank: int = 0
    size: int = 1

    @classmethod
    def of_this_process(cls) -> "Ranks":
        """Read rank and size from `torch.distributed`; one process where it is not initialised."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    def share(self, n: int) -> slice:
        """Give this process its part of n rows: contiguous, and of a size that differs by one at most."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def sum(self, x: Tensor) -> Tensor:
        """Add up a tensor of equal shape on all processes."""
        return self._reduced(x, distributed.ReduceOp.SUM) if self.size > 1 else x

    def max(self, x: Tensor) -> Tensor:
        """Take the largest value of each element on any process."""
        return self._reduced(x, distributed.ReduceOp.MAX) if self.size > 1 else x

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes in place; one that a process lacks counts as 0."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)

    def _reduced(self, x: Tensor, operation: distributed.ReduceOp.RedOpType) -> Tensor:
        result = x.clone()
        distributed.all_reduce(result, operation)
        return result
