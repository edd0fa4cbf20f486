"""Attention that computes alike with and without gradients, so that the first ratio of a policy to itself is 1.

The fused attention of CPUs knows no gradient of a position bias (T5): torch takes it in the pass without gradients and
another kernel in the one with them. The function joins transformers' own attention functions under a name of its own
and changes nothing until a pass asks for it.
"""

from typing import Any

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rftlab.models.packing import Packing
from rftlab.models.shared_attention import attend_across, attend_biased, attend_packed

NAME = "sdpa_alike"
MODEL_TYPES = ("t5", "mt5")  # the types with a position bias that learns
# Types whose attention is a softmax over all keys and nothing else, unless their config speaks of windows.
PACKED_TYPES = (*MODEL_TYPES, "gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma")
KNOWN = ("sdpa", NAME, "sdpa_shared_prompt")  # attention functions that the packed one stands for


def asked_for(lm: PreTrainedModel) -> dict[str, bool]:
    """Return what a forward pass must be given so that it computes alike with and without gradients."""
    if lm.device.type != "cpu" or lm.config.model_type not in MODEL_TYPES:
        return {}
    if lm.config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        lm.set_attn_implementation(NAME)
    return {"alike": True}


def packs(lm: PreTrainedModel) -> bool:
    """Let a model read packed rows if its architecture is known to allow it; tell whether it does."""
    if lm.config.model_type not in PACKED_TYPES or has_windows(lm.config):
        return False
    if lm.config._attn_implementation not in KNOWN:
        return False
    if lm.config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        lm.set_attn_implementation(NAME)
    return True


def has_windows(config: PreTrainedConfig) -> bool:
    """Tell whether some layer sees the last tokens only: a row would no longer see the whole prompt."""
    kinds = getattr(config, "layer_types", None) or ()
    return getattr(config, "sliding_window", None) is not None or any(kind != "full_attention" for kind in kinds)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    alike: bool = False,
    packing: Packing | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend as `sdpa` does; if asked to compute alike, take the kernel that knows the gradient of a bias.

    Attention to the encoder has a bias of zeros that does not learn, and keeps the fused kernel in both passes. With a
    `packing`, all texts stand in one row.
    """
    if packing is not None:
        return _packed(module, query, key, value, position_bias, packing, kwargs.get("scaling")), None
    row = (module, query, key, value, attention_mask)
    if not alike or position_bias is None or not (position_bias.requires_grad or position_bias.any()):
        return sdpa_attention_forward(*row, position_bias=position_bias, **kwargs)
    with sdpa_kernel(SDPBackend.MATH):
        return sdpa_attention_forward(*row, position_bias=position_bias, **kwargs)


def _packed(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    position_bias: Tensor | None,
    packing: Packing,
    scaling: float | None,
) -> Tensor:
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if position_bias is None:
        return attend_packed(query, key, value, packing, scaling)
    if module.is_causal:
        assert packing.rows is not None
        return attend_biased(query, key, value, packing.rows, position_bias, None, scaling)
    if module.is_decoder:
        return attend_across(query, key, value, packing, scaling)
    return attend_biased(query, key, value, packing.prompts, position_bias, packing.hidden_keys, scaling)
