"""What a planned decoder computes with: matrix products, norms and activations, from copies of a module's weights.

The copies lie as the matrix products of this machine read them fastest, in the dtype of the computation. They are made
when a batch starts to decode, and serve all its steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from rftlab.models.adapters import own_layer, whole_weight

TANH_GELU = ("NewGELUActivation", "GELUTanh", "FastGELUActivation")  # one formula in three spellings
LINEAR = (nn.Linear, Conv1D)


class Unplanned(Exception):
    """A module that no plan knows."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The weight (out, in) and the bias of a linear layer, with what its adapter adds."""

    weight: Float[Tensor, "o i"]
    bias: Float[Tensor, " o"] | None

    def rows(self, order: Tensor) -> "Matrix":
        """Put the outputs into another order."""
        return Matrix(weight=self.weight[order], bias=None if self.bias is None else self.bias[order])


def matrix_of(module: nn.Module) -> Matrix:
    """Read a linear layer.

    Raises:
        Unplanned: It is none.
    """
    base: Any = own_layer(module)
    if type(base) not in LINEAR:
        raise Unplanned(type(base).__name__)
    weight, bias = whole_weight(module), base.bias
    return Matrix(weight=(weight.t() if type(base) is Conv1D else weight).detach(), bias=_detached(bias))


@dataclass(frozen=True, kw_only=True)
class Act:
    """An activation, and what oneDNN calls it where it can be part of a matrix product."""

    function: Callable[[Tensor], Tensor]
    fused: tuple[str, str] | None = None


class Dense:
    """Several linear layers of one input as one matrix product: x (n, in) -> (n, out), outputs side by side.

    bfloat16 on a CPU goes through oneDNN with a weight in the layout of its matrix units: torch's own product brings it
    there at each call, which takes half as long again.
    """

    def __init__(self, layers: Sequence[Matrix], dtype: torch.dtype, act: Act | None = None) -> None:
        whole = joined(layers) if len(layers) > 1 else layers[0]
        self.dtype, self.act = dtype, act
        self.bias = None if whole.bias is None else whole.bias.to(dtype)
        self.packed = whole.weight.device.type == "cpu" and dtype == torch.bfloat16 and _has_matrix_units()
        self.after = act.fused if self.packed and act is not None and act.fused is not None else None
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(whole.weight.to(dtype).contiguous())
        else:
            self.weight = whole.weight.t().to(dtype).contiguous()

    def __call__(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        """Compute the product and the activation after it, if there is one."""
        x = x if x.dtype == self.dtype else x.to(self.dtype)
        if self.packed:
            name, how = self.after or ("none", "")
            out = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, name, [], how)
        else:
            out = torch.mm(x, self.weight) if self.bias is None else torch.addmm(self.bias, x, self.weight)
        return out if self.act is None or self.after is not None else self.act.function(out)

    def add_to(self, total: Float[Tensor, "n o"], x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        """Add the product to `total`, in place; a residual stream stays in its own dtype."""
        if self.packed or total.dtype != self.dtype or x.dtype != self.dtype:
            return total.add_(self(x))
        total.addmm_(x, self.weight)
        return total if self.bias is None else total.add_(self.bias)


class Norm:
    """A layer norm, or a norm by the root of the mean square, whose weight may be written as what it has above 1."""

    def __init__(self, module: Any, above_one: bool = False) -> None:
        self.weight = module.weight.detach() + 1.0 if above_one else module.weight.detach()
        self.layer_norm = isinstance(module, nn.LayerNorm)
        self.bias = _detached(module.bias) if self.layer_norm else None
        self.eps = module.eps if hasattr(module, "eps") else module.variance_epsilon
        self.shape = tuple(self.weight.shape)

    def __call__(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        if self.layer_norm:
            return nn.functional.layer_norm(x, self.shape, self.weight, self.bias, self.eps)
        return nn.functional.rms_norm(x.to(self.weight.dtype), self.shape, self.weight, self.eps)


def joined(layers: Sequence[Matrix]) -> Matrix:
    """Put layers side by side; one without a bias has a bias of zeros if another has one."""
    weight = torch.cat([layer.weight for layer in layers])
    if all(layer.bias is None for layer in layers):
        return Matrix(weight=weight, bias=None)
    biases = [layer.weight.new_zeros(layer.weight.shape[0]) if layer.bias is None else layer.bias for layer in layers]
    return Matrix(weight=weight, bias=torch.cat(biases))


def activation_of(module: nn.Module) -> Act:
    """Give an activation, in one call where transformers writes it as several."""
    if type(module).__name__ in TANH_GELU:
        return Act(function=partial(nn.functional.gelu, approximate="tanh"), fused=("gelu", "tanh"))
    return Act(function=module)


def _detached(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach()


def _has_matrix_units() -> bool:
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
