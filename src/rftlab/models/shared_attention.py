"""Attention of packed rows: every prompt has its keys once, and all its responses read them.

A response reads two blocks of keys, those of its prompt and its own. Fused attention gives each block's result with the
logarithm of its normaliser, from which both are joined into one softmax; the gradient of a block is that of attention
with the joint normaliser. No copy of a prompt's keys and no matrix of weights is kept.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rftlab.models.packing import Grid, Packing

_fused: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_fused_backward: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
FULL = 1e30  # a normaliser beside which every weight is 0


def attend_packed(
    query: Float[Tensor, "1 h m d"],
    key: Float[Tensor, "1 hk m d"],
    value: Float[Tensor, "1 hk m d"],
    packing: Packing,
    scaling: float,
) -> Float[Tensor, "1 m h d"]:
    """Let each token of a causal row attend to its text up to itself; query heads may share those of keys."""
    repeats = query.shape[1] // key.shape[1]
    rows = [x[0].transpose(0, 1).to(value.dtype) for x in (query, key, value)]  # norms of keys may be in float32
    if repeats > 1:
        rows[1:] = [x.repeat_interleave(repeats, dim=1) for x in rows[1:]]
    if query.device.type == "cpu":
        return Joined.apply(*rows, packing, scaling).unsqueeze(0)
    return attend_by_rows(*rows, packing, scaling).unsqueeze(0)


def attend_by_rows(
    query: Float[Tensor, "m h d"],
    key: Float[Tensor, "m h d"],
    value: Float[Tensor, "m h d"],
    packing: Packing,
    scaling: float,
) -> Float[Tensor, "m h d"]:
    """Attend with a copy of the prompt's keys for each row: any device has this."""
    k = packing.prompt_tokens
    asked: list[Any] = [packing.prompts.spread(x[:k]).transpose(1, 2) for x in (query, key, value)]
    out = nn.functional.scaled_dot_product_attention(*asked, is_causal=True, scale=scaling)
    found = [packing.prompts.collect(out.transpose(1, 2))]
    if packing.rows is not None:
        grid = packing.rows
        own, keys, values = (grid.spread(x[k:]).transpose(1, 2) for x in (query, key, value))
        mask = torch.ones(grid.width, grid.width, dtype=torch.bool, device=query.device).tril()
        mask = mask.expand(grid.lines, 1, grid.width, grid.width)
        far = packing.prompts.taken()[packing.owner][:, None, None].expand(-1, 1, grid.width, -1)
        out = nn.functional.scaled_dot_product_attention(
            own,
            torch.cat([asked[1][packing.owner], keys], dim=2),
            torch.cat([asked[2][packing.owner], values], dim=2),
            attn_mask=torch.cat([far, mask], dim=-1),
            scale=scaling,
        )
        found.append(grid.collect(out.transpose(1, 2)))
    return torch.cat(found)


class Joined(torch.autograd.Function):
    """Attend with fused kernels to both blocks of keys; tensors are (m h d), tokens first."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, packing: Packing, scaling: float) -> Tensor:
        """Attend, and keep the joint result with its normalisers."""
        k, prompts = packing.prompt_tokens, packing.prompts
        asked = [_heads(prompts.spread(x[:k])) for x in (query, key, value)]
        out, norm = _fused(*asked, 0.0, True, scale=scaling)
        outs, norms = [prompts.collect(_heads(out))], [prompts.collect(norm.transpose(1, 2))]
        if packing.rows is not None and packing.groups is not None:
            own = [_heads(packing.rows.spread(x[k:])) for x in (query, key, value)]
            near, near_norm = _fused(*own, 0.0, True, scale=scaling)
            near, near_norm = (packing.rows.collect(x.transpose(1, 2)) for x in (near, near_norm))
            grouped = _heads(packing.groups.spread(query[k:]))
            far, far_norm = _fused(
                grouped, *asked[1:], 0.0, False, attn_mask=_hidden(packing, query.dtype), scale=scaling
            )
            far, far_norm = (packing.groups.collect(x.transpose(1, 2)) for x in (far, far_norm))
            joint = torch.logaddexp(near_norm, far_norm)
            shares = [(x - joint).exp().unsqueeze(-1) for x in (near_norm, far_norm)]
            outs.append((near * shares[0] + far * shares[1]).to(query.dtype))
            norms.append(joint)
        result, norm = torch.cat(outs), torch.cat(norms)
        ctx.save_for_backward(query, key, value, result, norm)
        ctx.packing, ctx.scaling = packing, scaling
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # ty: ignore[incompatible-method-override]
        """Give the gradients of queries, keys and values, each block with the joint result and normaliser.

        In float32: the fused kernel of CPUs takes ten times as long in bfloat16.
        """
        packing, scale, dtype = ctx.packing, ctx.scaling, gradient.dtype
        saved = (*ctx.saved_tensors, gradient)
        query, key, value, result, norm, gradient = (x.float() if x.dtype == torch.bfloat16 else x for x in saved)
        k, prompts = packing.prompt_tokens, packing.prompts
        asked = [_heads(prompts.spread(x[:k])) for x in (query, key, value)]
        given = _backward_of(prompts, gradient[:k], asked, result[:k], norm[:k], scale, causal=True)
        parts = [[prompts.collect(_heads(x)) for x in given]]
        if packing.rows is not None and packing.groups is not None:
            rest = gradient[k:], result[k:], norm[k:]
            own = [_heads(packing.rows.spread(x[k:])) for x in (query, key, value)]
            near = _backward_of(packing.rows, rest[0], own, *rest[1:], scale, causal=True)
            near = [packing.rows.collect(_heads(x)) for x in near]
            grouped = [_heads(packing.groups.spread(query[k:])), *asked[1:]]
            mask = _hidden(packing, query.dtype)
            far = _backward_of(packing.groups, rest[0], grouped, *rest[1:], scale, causal=False, mask=mask)
            near[0] = near[0] + packing.groups.collect(_heads(far[0]))
            parts[0][1:] = [x + prompts.collect(_heads(y)) for x, y in zip(parts[0][1:], far[1:], strict=True)]
            parts.append(near)
        query, key, value = (torch.cat(part).to(dtype) for part in zip(*parts, strict=True))
        return query, key, value, None, None


def _backward_of(
    grid: Grid,
    gradient: Tensor,
    block: list[Tensor],
    result: Tensor,
    norm: Tensor,
    scaling: float,
    *,
    causal: bool,
    mask: Tensor | None = None,
) -> list[Tensor]:
    """Give the gradients of one block; places without a token ask for nothing and weigh nothing."""
    asked, out = _heads(grid.spread(gradient, 0.0)), _heads(grid.spread(result))
    norms = grid.spread(norm, FULL).transpose(1, 2)
    return list(_fused_backward(asked, *block, out, norms, 0.0, causal, attn_mask=mask, scale=scaling))


def _heads(grid: Float[Tensor, "lines width h d"]) -> Float[Tensor, "lines h width d"]:
    return grid.transpose(1, 2)


def _hidden(packing: Packing, dtype: torch.dtype) -> Tensor | None:
    return None if packing.hidden_keys is None else packing.hidden_keys.to(dtype)


# --- encoder and decoder ------------------------------------------------------------------------------------------


def attend_biased(
    query: Float[Tensor, "1 h m d"],
    key: Float[Tensor, "1 h m d"],
    value: Float[Tensor, "1 h m d"],
    grid: Grid,
    bias: Float[Tensor, "1 h w w"],
    hidden: Float[Tensor, "lines 1 1 w"] | None,
    scaling: float,
) -> Float[Tensor, "1 m h d"]:
    """Attend within the lines of a grid, with a position bias that may learn; -inf in it hides a key."""
    asked, keys, values = (grid.spread(x[0].transpose(0, 1)).transpose(1, 2) for x in (query, key, value))
    return grid.collect(_plain(asked, keys, values, (bias, hidden), scaling).transpose(1, 2)).unsqueeze(0)


def attend_across(
    query: Float[Tensor, "1 h j d"],
    key: Float[Tensor, "1 h i d"],
    value: Float[Tensor, "1 h i d"],
    packing: Packing,
    scaling: float,
) -> Float[Tensor, "1 j h d"]:
    """Let the responses attend to their prompts; T5 has no position bias here."""
    assert packing.groups is not None
    asked = packing.groups.spread(query[0].transpose(0, 1)).transpose(1, 2)
    keys, values = (packing.prompts.spread(x[0].transpose(0, 1)).transpose(1, 2) for x in (key, value))
    if query.dtype == torch.bfloat16:  # the fused kernel of CPUs takes ten times as long for the gradient
        out = _plain(asked, keys, values, (packing.hidden_keys,), scaling)
    else:
        mask = _hidden(packing, query.dtype)
        out = nn.functional.scaled_dot_product_attention(asked, keys, values, attn_mask=mask, scale=scaling)
    return packing.groups.collect(out.transpose(1, 2)).unsqueeze(0)


def _plain(
    query: Float[Tensor, "lines h q d"],
    key: Float[Tensor, "lines h w d"],
    value: Float[Tensor, "lines h w d"],
    added: tuple[Tensor | None, ...],
    scaling: float,
) -> Float[Tensor, "lines h q d"]:
    """Attend in float32, whatever the products around are in: weights rounded to bfloat16 shorten the gradient."""
    with torch.autocast(query.device.type, enabled=False):
        scores = (query if scaling == 1.0 else query * scaling).float() @ key.float().transpose(-1, -2)
        for term in added:
            scores = scores if term is None else scores + term
        return (scores.softmax(-1) @ value.float()).to(value.dtype)
