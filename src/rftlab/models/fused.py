"""Activations and norms in one kernel of torch each, in place of several; frozen weights converted once."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import NewGELUActivation

NORMS = ("T5LayerNorm", "MT5LayerNorm")  # x / sqrt(mean of squares + eps) * weight, in several steps


def fuse(model: nn.Module) -> None:
    """Replace what torch has a kernel for; the weights of norms stay the very parameters that they are."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, nn.GELU(approximate="tanh"))
            elif type(child).__name__ in NORMS and next(child.parameters()).dtype == torch.float32:
                setattr(module, name, _rms_norm(child))


def _rms_norm(norm: Any) -> nn.RMSNorm:
    fused = nn.RMSNorm(norm.weight.shape, eps=norm.variance_epsilon, device="meta")
    fused.weight = norm.weight
    return fused


def narrow(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Give a frozen weight in the dtype of the computation, converted once for as long as it stays what it is.

    Autocast converts such a weight anew for every pass, as it remembers only those that train. What is converted lies
    beside the weight itself, so that all networks that share the weight share it.
    """
    kept: tuple[int, Tensor] | None = getattr(weight, "converted_once", None)
    if kept is None or kept[0] != weight._version or (kept[1].dtype, kept[1].device) != (dtype, weight.device):
        kept = weight._version, weight.detach().to(dtype)
        setattr(weight, "converted_once", kept)  # noqa: B010  # no attribute that a Tensor declares
    return kept[1]
