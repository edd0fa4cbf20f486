"""Activations and norms in one kernel of torch each, in place of several; results differ by rounding."""

from typing import Any

import torch
from torch import nn
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
