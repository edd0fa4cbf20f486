"""Attention that computes alike with and without gradients, so that the first ratio of a policy to itself is 1.

The fused attention of CPUs knows no gradient of a position bias (T5): torch takes it in the pass without gradients and
another kernel in the one with them. The function joins transformers' own attention functions under a name of its own
and changes nothing until a pass asks for it.
"""

from typing import Any

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_alike"
MODEL_TYPES = ("t5", "mt5")  # the types with a position bias that learns


def asked_for(lm: PreTrainedModel) -> dict[str, bool]:
    """Return what a forward pass must be given so that it computes alike with and without gradients."""
    if lm.device.type != "cpu" or lm.config.model_type not in MODEL_TYPES:
        return {}
    if lm.config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        lm.set_attn_implementation(NAME)
    return {"alike": True}


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    alike: bool = False,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend as `sdpa` does; if asked to compute alike, take the kernel that knows the gradient of a bias.

    Attention to the encoder has a bias of zeros that does not learn, and keeps the fused kernel in both passes.
    """
    row = (module, query, key, value, attention_mask)
    if not alike or position_bias is None or not (position_bias.requires_grad or position_bias.any()):
        return sdpa_attention_forward(*row, position_bias=position_bias, **kwargs)
    with sdpa_kernel(SDPBackend.MATH):
        return sdpa_attention_forward(*row, position_bias=position_bias, **kwargs)
