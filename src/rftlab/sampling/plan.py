"""Plans: what a decoder of each known architecture computes at a step, read from the modules' own weights.

A model of transformers spends most of a small decoding step on calling modules. `plan_of` finds the parts of a stack by
their names, which `NAMES` lists for each architecture, and `planned.py` computes with them. Where it answers None, a
model is decoded through its own modules: this is the only place that decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rftlab.models import Policy
from rftlab.sampling.parts import Act, Dense, Matrix, Norm, Unplanned, activation_of, joined, matrix_of

STATIC_ROTARIES = ("default", "linear", "llama3")  # the others change with the length of a row


@dataclass(frozen=True, kw_only=True)
class Names:
    """Where a stack keeps its parts: `blocks`, `tokens`, `last` and `positions` in the stack, all others in a block."""

    blocks: str
    tokens: str
    last: str
    norm: str
    qkv: tuple[str, ...]
    out: str
    up: tuple[str, ...]  # one layer, or the one under the activation and the one it is multiplied with
    down: str
    act: str
    attention: str
    mlp_norm: str | None  # None = the MLP reads what attention reads
    positions: str | None = None
    rotary: Literal["halves", "pairs"] | None = None
    by_head: bool = False  # whether q, k and v of a head stand together
    head_norms: tuple[str, str] | None = None  # of queries and of keys
    above_one: bool = False  # whether weights of norms are written without the 1
    scale: Literal["own", "head", "none"] = "own"  # of scores: the module's `scaling`, 1 / sqrt(head size), 1
    bias: str | None = None  # the module of the first block that knows a bias for each distance
    cross: tuple[str, ...] = ()  # norm, q, k, v and out of the attention to an encoder


LLAMA = Names(
    blocks="layers", tokens="embed_tokens", last="norm", norm="input_layernorm", attention="self_attn",
    qkv=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), out="self_attn.o_proj",
    mlp_norm="post_attention_layernorm", up=("mlp.gate_proj", "mlp.up_proj"), down="mlp.down_proj", act="mlp.act_fn",
    rotary="halves",
)  # fmt: skip
GPT2 = Names(
    blocks="h", tokens="wte", positions="wpe", last="ln_f", norm="ln_1", attention="attn", qkv=("attn.c_attn",),
    out="attn.c_proj", mlp_norm="ln_2", up=("mlp.c_fc",), down="mlp.c_proj", act="mlp.act",
)  # fmt: skip
T5_ENCODER = Names(
    blocks="block", tokens="embed_tokens", last="final_layer_norm", norm="layer.0.layer_norm",
    attention="layer.0.SelfAttention", out="layer.0.SelfAttention.o",
    qkv=("layer.0.SelfAttention.q", "layer.0.SelfAttention.k", "layer.0.SelfAttention.v"),
    mlp_norm="layer.1.layer_norm", up=("layer.1.DenseReluDense.wi",), down="layer.1.DenseReluDense.wo",
    act="layer.1.DenseReluDense.act", bias="layer.0.SelfAttention",
)  # fmt: skip
T5 = replace(
    T5_ENCODER, mlp_norm="layer.2.layer_norm", up=("layer.2.DenseReluDense.wi",), down="layer.2.DenseReluDense.wo",
    act="layer.2.DenseReluDense.act",
    cross=("layer.1.layer_norm", *(f"layer.1.EncDecAttention.{name}" for name in "qkvo")),
)  # fmt: skip
NAMES = {
    "t5": T5,
    "mt5": T5,
    "gpt2": GPT2,
    "gpt_neo": replace(
        GPT2, attention="attn.attention", scale="none", out="attn.attention.out_proj",
        qkv=("attn.attention.q_proj", "attn.attention.k_proj", "attn.attention.v_proj"),
    ),
    "gptj": replace(
        GPT2, positions=None, rotary="pairs", scale="head", mlp_norm=None, out="attn.out_proj",
        qkv=("attn.q_proj", "attn.k_proj", "attn.v_proj"), up=("mlp.fc_in",), down="mlp.fc_out",
    ),
    "gpt_neox": Names(
        blocks="layers", tokens="embed_in", last="final_layer_norm", norm="input_layernorm", attention="attention",
        qkv=("attention.query_key_value",), by_head=True, out="attention.dense", mlp_norm="post_attention_layernorm",
        up=("mlp.dense_h_to_4h",), down="mlp.dense_4h_to_h", act="mlp.act", rotary="halves",
    ),
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": replace(LLAMA, head_norms=("self_attn.q_norm", "self_attn.k_norm")),
    "gemma": replace(LLAMA, above_one=True),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Cross:
    """Attention to an encoder."""

    norm: Norm
    query: Dense
    keys_values: Dense
    out: Dense


@dataclass(frozen=True, kw_only=True)
class Block:
    """Attention and MLP; `parallel` = both read the block's input."""

    norm: Norm
    qkv: Dense  # outputs in the order: queries, keys, values, each by head
    head_norms: tuple[Norm, Norm] | None
    scale: float
    out: Dense
    cross: Cross | None
    mlp_norm: Norm | None
    up: Dense  # with the activation, unless half of what it gives is a gate
    gate: Act | None
    down: Dense
    parallel: bool


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack of blocks, and what stands before and after them."""

    tokens: nn.Module
    positions: nn.Module | None
    rotary: tuple[Tensor, Tensor] | None  # cosines and signed sines (p r) of every position
    bias: Float[Tensor, "h l l"] | None  # of the scores of queries (rows) to keys (columns)
    blocks: Sequence[Block]
    last: Norm
    heads: int
    key_heads: int
    head_size: int
    dtype: torch.dtype  # of matrix products


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a policy computes while it decodes."""

    decoder: Stack
    encoder: Stack | None
    head: Dense
    head_scale: float | None


def plan_of(policy: Policy, prompt_tokens: int, new_tokens: int) -> Plan | None:
    """Plan the decoding of so many tokens; None where the architecture, or a module in it, is not a known one."""
    config: Any = policy.lm.config
    length = prompt_tokens + new_tokens
    names = NAMES.get(config.model_type)
    if names is None or _hides_keys(config, length) or _is_special(config) or _is_changed(policy):
        return None
    dtype = policy.compute_dtype if policy.compute_dtype == torch.bfloat16 else policy.lm.dtype
    head: Any = policy.lm.get_output_embeddings()
    try:
        encoder = None
        if policy.family == "seq2seq":
            encoder = _stack(policy.lm.get_encoder(), _gated(T5_ENCODER, config), prompt_tokens, dtype)
            decoder = _stack(policy.lm.get_decoder(), _gated(names, config), new_tokens, dtype)
        else:
            decoder = _stack(policy.lm.base_model, names, length, dtype)
        head_scale = config.hidden_size**-0.5 if getattr(config, "scale_decoder_outputs", False) else None
        return Plan(decoder=decoder, encoder=encoder, head=Dense([matrix_of(head)], dtype), head_scale=head_scale)
    except Unplanned:
        return None


def _hides_keys(config: Any, length: int) -> bool:
    """Tell whether some layer sees the last tokens only, fewer than a row has."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and all(kind == "full_attention" for kind in kinds):
        return False
    windows = [getattr(config, "sliding_window", None)]
    if "local" in getattr(config, "attention_layers", ()):
        windows.append(config.window_size)
    return any(window is not None and window < length for window in windows)


def _is_changed(policy: Policy) -> bool:
    """Tell whether logits are more than those of the model: a policy adds to them, or somebody hooked into a module."""
    hooked = any(module._forward_hooks or module._forward_pre_hooks for module in policy.lm.modules())
    return hooked or type(policy).logits is not Policy.logits


def _is_special(config: Any) -> bool:
    """Tell whether a config asks for what no plan computes."""
    rotary = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    asked = ("final_logit_softcapping", "attn_logit_softcapping", "use_bidirectional_attention", "add_cross_attention")
    return rotary not in STATIC_ROTARIES or any(getattr(config, name, None) for name in asked)


def _gated(names: Names, config: Any) -> Names:
    return replace(names, up=(f"{names.up[0]}_0", f"{names.up[0]}_1")) if config.is_gated_act else names


def _stack(stack: Any, names: Names, length: int, dtype: torch.dtype) -> Stack:
    config = stack.config
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    blocks = list(stack.get_submodule(names.blocks))
    rotary = _rotary(stack, blocks[0], names, length)
    turned = rotary[0].shape[-1] if rotary is not None else 0
    if turned > head_size:
        raise Unplanned("positions that turn more than a head")
    order = _order(names, heads, key_heads, head_size, turned)
    return Stack(
        tokens=stack.get_submodule(names.tokens),
        positions=None if names.positions is None else stack.get_submodule(names.positions),
        rotary=rotary,
        bias=None if names.bias is None else _bias(blocks[0].get_submodule(names.bias), length),
        blocks=[_block(block, names, order, head_size, dtype) for block in blocks],
        last=Norm(stack.get_submodule(names.last), names.above_one),
        heads=heads,
        key_heads=key_heads,
        head_size=head_size,
        dtype=dtype,
    )


def _block(block: Any, names: Names, order: Tensor | None, head_size: int, dtype: torch.dtype) -> Block:
    def dense(*layers: str, order: Tensor | None = None, act: Act | None = None) -> Dense:
        matrices: list[Matrix] = [matrix_of(block.get_submodule(name)) for name in layers]
        return Dense(matrices if order is None else [joined(matrices).rows(order)], dtype, act)

    def norm(name: str) -> Norm:
        return Norm(block.get_submodule(name), names.above_one)

    cross, act = names.cross, activation_of(block.get_submodule(names.act))
    scale = {"head": head_size**-0.5, "none": 1.0}
    gated = len(names.up) == 2
    return Block(
        norm=norm(names.norm),
        qkv=dense(*names.qkv, order=order),
        head_norms=None if names.head_norms is None else (norm(names.head_norms[0]), norm(names.head_norms[1])),
        scale=block.get_submodule(names.attention).scaling if names.scale == "own" else scale[names.scale],
        out=dense(names.out),
        cross=None if not cross else Cross(
            norm=norm(cross[0]), query=dense(cross[1]), keys_values=dense(cross[2], cross[3]), out=dense(cross[4])
        ),
        mlp_norm=None if names.mlp_norm is None else norm(names.mlp_norm),
        up=dense(*names.up, act=None if gated else act),
        gate=act if gated else None,
        down=dense(names.down),
        parallel=names.mlp_norm is None or bool(getattr(block, "use_parallel_residual", False)),
    )  # fmt: skip


def _order(names: Names, heads: int, key_heads: int, head_size: int, turned: int) -> Tensor | None:
    """Say where each output of the projections comes from; None = they are in the order of `Block.qkv` already.

    Queries and keys that are turned in pairs of neighbours are put into halves: their products stay what they are.
    """
    rows = torch.arange((heads + 2 * key_heads) * head_size)
    if names.by_head:
        rows = rows.view(heads, 3, head_size).transpose(0, 1)
    elif names.rotary != "pairs":
        return None
    rows = rows.reshape(heads + 2 * key_heads, head_size)
    if names.rotary == "pairs":
        halves = torch.cat([torch.arange(0, turned, 2), torch.arange(1, turned, 2), torch.arange(turned, head_size)])
        rows = torch.cat([rows[: heads + key_heads, halves], rows[heads + key_heads :]])
    return rows.flatten()


def _rotary(stack: Any, block: Any, names: Names, length: int) -> tuple[Tensor, Tensor] | None:
    """Give cosines and sines of positions 0 to `length`, the sines of the first half with a minus."""
    if names.rotary is None:
        return None
    if names.rotary == "pairs":
        sin, cos = block.get_submodule(names.attention).embed_positions[:length].float().chunk(2, dim=-1)
    else:
        places = torch.arange(length, device=stack.device).unsqueeze(0)
        cos, sin = (
            table[0].chunk(2, dim=-1)[0] for table in stack.rotary_emb(torch.ones(1, device=stack.device), places)
        )
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def _bias(attention: Any, length: int) -> Float[Tensor, "h l l"]:
    return attention.compute_bias(length, length)[0].detach()
