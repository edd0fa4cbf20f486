"""Attention in which all samples of a prompt read one copy of its keys and values.

A decoding step is bound by reading the cache, and most of the cache is the prompt. Instead of a copy per row, the
queries of a prompt's rows meet its keys in one matrix product. The function joins transformers' own attention functions
under a name of its own and changes nothing until a `Prompt` comes along with the forward pass: models stay as they are.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from rftlab.models import attention

NAME = "sdpa_shared_prompt"
# Types whose attention is a softmax over all keys and nothing else, unless their config speaks of windows.
MODEL_TYPES = ("t5", "mt5", "gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma")


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """The prompts of a batch, and which of them each row continues."""

    mask: Float[Tensor, "b 1 1 p"]  # 0 or very negative, added to the scores
    layers: tuple[
        tuple[Tensor, Tensor], ...
    ]  # keys and values (b heads p d); empty where a cross-attention cache holds them
    place: Int[Tensor, " n"]  # where each row stands when every prompt gets `slots` places
    slots: int

    @property
    def full(self) -> bool:
        """Tell whether every place is taken, so that grouping is a change of shape alone."""
        return len(self.place) == len(self.mask) * self.slots

    def group(self, rows: Float[Tensor, "n h r e"]) -> Float[Tensor, "b h g e"]:
        """Bring the rows of each prompt side by side, g = slots * r; free places are 0."""
        _, h, r, e = rows.shape
        if not self.full:
            rows = rows.new_zeros((len(self.mask) * self.slots, h, r, e)).index_copy(0, self.place, rows)
        return rows.view(len(self.mask), self.slots, h, r, e).transpose(1, 2).reshape(len(self.mask), h, -1, e)

    def ungroup(self, groups: Float[Tensor, "b h g e"]) -> Float[Tensor, "n h r e"]:
        """Undo `group`."""
        b, h, g, e = groups.shape
        r = g // self.slots
        rows = groups.view(b, h, self.slots, r, e).transpose(1, 2).reshape(b * self.slots, h, r, e)
        return rows if self.full else rows[self.place]

    def select(self, rows: Int[Tensor, " m"]) -> tuple["Prompt", Int[Tensor, " c"]]:
        """Follow a choice of rows, those of a prompt adjacent; also return which prompts are still needed."""
        kept, owner = torch.unique(self.place[rows] // self.slots, return_inverse=True)
        counts = owner.bincount()
        slots = int(counts.max())
        first = (counts.cumsum(0) - counts)[owner]
        place = owner * slots + torch.arange(len(rows), device=rows.device) - first
        if len(kept) == len(self.mask):
            return replace(self, place=place, slots=slots), kept
        layers = tuple((keys[kept], values[kept]) for keys, values in self.layers)
        return Prompt(mask=self.mask[kept], layers=layers, place=place, slots=slots), kept


def prompt_of(mask: Bool[Tensor, "b p"], dtype: torch.dtype, layers: tuple[tuple[Tensor, Tensor], ...]) -> Prompt:
    """Describe prompts that have one row each."""
    scores = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)
    place = torch.arange(len(mask), device=mask.device)
    return Prompt(mask=scores[:, None, None, :], layers=layers, place=place, slots=1)


def enable(lm: PreTrainedModel) -> bool:
    """Let a model use the shared attention if its architecture is known to allow it; tell whether it does."""
    known = lm.config.model_type in MODEL_TYPES and not _has_windows(lm.config)
    if known and lm.config._attn_implementation in ("sdpa", attention.NAME):
        AttentionInterface.register(NAME, attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        lm.set_attn_implementation(NAME)
    return lm.config._attn_implementation == NAME


def _has_windows(config: PreTrainedConfig) -> bool:
    """Tell whether some layer sees the last tokens only: a row would no longer see the whole prompt."""
    kinds = getattr(config, "layer_types", None) or ()
    return getattr(config, "sliding_window", None) is not None or any(kind != "full_attention" for kind in kinds)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    prompt: Prompt | None = None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend as outside of sampling; with a `Prompt`, read each prompt once for all its rows."""
    if prompt is None or (not prompt.layers and len(key) == len(query)):
        return attention.attend(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if prompt.layers:
        return _self_attention(query, key, value, *prompt.layers[module.layer_idx], prompt, scaling), None
    return _cross_attention(query, key, value, prompt, scaling), None


def _cross_attention(
    query: Float[Tensor, "n h 1 d"],
    key: Float[Tensor, "b h p d"],
    value: Float[Tensor, "b h p d"],
    prompt: Prompt,
    scaling: float,
) -> Float[Tensor, "n 1 h d"]:
    """Attend to the encoder's states; T5 has no position bias here."""
    out = nn.functional.scaled_dot_product_attention(
        prompt.group(query), key, value, attn_mask=prompt.mask, scale=scaling
    )
    return prompt.ungroup(out).transpose(1, 2)


def _self_attention(
    query: Float[Tensor, "n hq 1 d"],
    key: Float[Tensor, "n h t d"],
    value: Float[Tensor, "n h t d"],
    prompt_key: Float[Tensor, "b h p d"],
    prompt_value: Float[Tensor, "b h p d"],
    prompt: Prompt,
    scaling: float,
) -> Float[Tensor, "n 1 hq d"]:
    """Attend to the prompt's keys, shared, and to the row's own: one softmax over both."""
    n, heads, _, d = query.shape
    rows = query.reshape(n, key.shape[1], -1, d) * scaling  # query heads that share a key head stand together
    far = prompt.group(rows) @ prompt_key.transpose(-1, -2) + prompt.mask
    near = prompt.group(rows @ key.transpose(-1, -2))
    weights = torch.cat([far, near], dim=-1).softmax(-1, dtype=torch.float32).to(query.dtype)
    width = prompt_key.shape[2]
    out = prompt.ungroup(weights[..., :width] @ prompt_value) + prompt.ungroup(weights[..., width:]) @ value
    return out.reshape(n, 1, heads, d)
