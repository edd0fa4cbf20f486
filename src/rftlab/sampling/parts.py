"""What a planned decoder computes with: matrix products, norms and activations, from copies of a module's weights.

The copies lie as the matrix products of this machine read them fastest, in the dtype of the computation. They are made
when a batch starts to decode, and serve all its steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from rftlab.models.adapters import adapted_layer, whole_weight

Act = Callable[[Tensor], Tensor]
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
    base = module.get_base_layer() if adapted_layer(module) else module
    if type(base) not in LINEAR:
        raise Unplanned(type(base).__name__)
    weight, bias = whole_weight(module), base.bias
    return Matrix(weight=(weight.t() if type(base) is Conv1D else weight).detach(), bias=_detached(bias))


class Dense:
    """Several linear layers of one input as one matrix product: x (n, in) -> (n, out), outputs side by side.

    bfloat16 on a CPU goes through oneDNN with a weight in the layout of its matrix units: torch's own product brings it
    there at each call, which takes half as long again.
    """

    def __init__(self, layers: Sequence[Matrix], dtype: torch.dtype, rows: int) -> None:
        weight = torch.cat([layer.weight for layer in layers]).to(dtype)
        biases = [layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias for layer in layers]
        has_bias = any(layer.bias is not None for layer in layers)
        self.dtype = dtype
        self.bias = torch.cat(biases).to(dtype) if has_bias else None
        self.packed = weight.device.type == "cpu" and dtype == torch.bfloat16 and _has_matrix_units()
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
        else:
            self.weight = weight.t().contiguous()

    def __call__(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        x = x if x.dtype == self.dtype else x.to(self.dtype)
        if self.packed:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return torch.mm(x, self.weight) if self.bias is None else torch.addmm(self.bias, x, self.weight)

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
        size = self.weight.shape[0]
        self.root_weight = self.weight * size**0.5
        self.root_eps = torch.full_like(self.weight[:1], (size * self.eps) ** 0.5)

    def __call__(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        if self.layer_norm:
            return nn.functional.layer_norm(x, self.shape, self.weight, self.bias, self.eps)
        x = x.to(self.weight.dtype)
        if x.dtype != torch.float32:
            return nn.functional.rms_norm(x, self.shape, self.weight, self.eps)
        # half the operations of rms_norm, which torch computes step by step on a CPU
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x.div(torch.hypot(length, self.root_eps)).mul_(self.root_weight)


def activation_of(module: nn.Module) -> Act:
    """Give an activation, in one call where transformers writes it as several."""
    if type(module).__name__ in TANH_GELU:
        return lambda x: nn.functional.gelu(x, approximate="tanh")
    return module


def _detached(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach()


def _has_matrix_units() -> bool:
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
