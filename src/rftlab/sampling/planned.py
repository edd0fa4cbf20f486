"""Decoding by a plan: the same numbers as the modules', without the cost of calling them.

Prompts are read without their padding: matrix products see real tokens alone. In the last block of a causal model only
the last token of a prompt goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from rftlab.models.policy import position_ids
from rftlab.sampling.places import Places, one_each
from rftlab.sampling.plan import Block, Plan, Stack

# Rows that share a copy of their prompt: each reads past the columns of the others, so there is a best number of them.
ROWS_PER_GROUP = 16

Turn = tuple[Float[Tensor, "n 1 r"], Float[Tensor, "n 1 r"]]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What the blocks of a stack have in common while rows go through them."""

    places: Places
    mask: Float[Tensor, "#g #h q c"]  # added to the scores
    start: int  # the column of the first slot in the cache
    turn: Turn | None  # rotary cosines and sines of each row


class Cache:
    """Keys and values of one block, a column after the other."""

    def __init__(self, columns: Float[Tensor, "g c w"], heads: int, head_size: int) -> None:
        self.columns = columns
        shape = (columns.shape[0], columns.shape[1], 2, heads, head_size)
        self.keys, self.values = columns.view(shape).permute(2, 0, 3, 1, 4).unbind()

    def select(self, group: Int[Tensor, " m"], used: int, room: int) -> "Cache":
        """Take groups, with their used columns and room for others."""
        columns = self.columns.new_empty((group.shape[0], room, self.columns.shape[2]))
        torch.index_select(self.columns[:, :used], 0, group, out=columns[:, :used])
        return Cache(columns, self.keys.shape[1], self.keys.shape[3])


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Keys and values of an encoder's states, for each block of the decoder."""

    layers: Sequence[Cache]
    mask: Float[Tensor, "g 1 1 p"]

    def select(self, group: Int[Tensor, " m"]) -> "Encoded":
        width = self.mask.shape[-1]
        return Encoded(layers=[layer.select(group, width, width) for layer in self.layers], mask=self.mask[group])


class PlannedDecoder:
    """Rows that grow by a token at a time; see `Decoder`."""

    def __init__(self, plan: Plan, prompt_ids: Tensor, prompt_mask: Bool[Tensor, "b p"], steps: int) -> None:
        self.plan, self.stack, self.steps = plan, plan.decoder, steps
        self.t = 0
        self.places = one_each(len(prompt_ids), prompt_ids.device)
        self.encoded: Encoded | None = None
        self.repeat = self.stack.heads // self.stack.key_heads  # query heads that read one key head
        self.columns = 0 if plan.encoder is not None else prompt_ids.shape[1]  # so many are in the cache
        self.cache = [self._empty(len(prompt_ids), self.columns + steps) for _ in self.stack.blocks]
        self.step_of = torch.arange(steps, device=prompt_ids.device)  # of each column; read where there is a bias
        if plan.encoder is not None:
            self.offset = torch.zeros_like(self.places.place)
            self.encoded = _encode(plan, plan.encoder, prompt_ids, prompt_mask)
            seen = prompt_mask.new_ones((len(prompt_mask), 0))
        else:
            self.offset = prompt_mask.sum(1)
            seen = prompt_mask
        past = hidden_keys(seen, self.stack.dtype)[:, None, None].expand(-1, 1, self.repeat, -1)
        self.mask = torch.cat([past, self._future(len(prompt_ids), 1)], dim=-1)

    def _empty(self, groups: int, columns: int) -> Cache:
        stack = self.stack
        shape = (groups, columns, 2 * stack.key_heads * stack.head_size)
        room = torch.empty(shape, dtype=stack.dtype, device=self.places.place.device)
        return Cache(room, stack.key_heads, stack.head_size)

    def _future(self, groups: int, slots: int) -> Float[Tensor, "g 1 q c"]:
        """Lay out the mask of the columns to come: each row sees its own."""
        own = torch.eye(slots, dtype=torch.bool, device=self.places.place.device)
        mask = hidden_keys(own, self.stack.dtype).repeat_interleave(self.repeat, 0).repeat(1, self.steps - self.t)
        return mask.expand(groups, 1, -1, -1)

    def fan_out(self, rows: Int[Tensor, " m"], apart: bool = False) -> None:
        """Give every prompt several rows, adjacent to each other; `apart` = none will take the place of another."""
        self._select(rows, ROWS_PER_GROUP if apart else None)

    def select(self, rows: Int[Tensor, " m"]) -> None:
        self._select(rows, None)

    def _select(self, rows: Int[Tensor, " m"], at_most: int | None) -> None:
        old, end = self.places, self.columns
        self.places, group = old.select(rows, at_most)
        groups, slots = self.places.groups, self.places.slots
        past = self.mask[..., :end].reshape(old.groups * old.slots, self.repeat * end).index_select(0, old.place[rows])
        past = self.places.spread(past).view(groups, 1, slots * self.repeat, end)
        self.mask = torch.cat([past, self._future(groups, slots)], dim=-1)
        self.offset = self.offset[rows]
        if self.stack.bias is not None:
            to_come = torch.arange(self.t, self.steps, device=rows.device).repeat_interleave(slots)
            self.step_of = torch.cat([self.step_of[:end], to_come])
        same = groups == old.groups and torch.equal(group, torch.arange(groups, device=group.device))
        if not same and self.encoded is not None:
            self.encoded = self.encoded.select(group)
        room = self.mask.shape[-1]
        if not same or room > self.cache[0].columns.shape[1]:
            self.cache = [cache.select(group, end, room) for cache in self.cache]

    def read(self, ids: Int[Tensor, "b p"], mask: Bool[Tensor, "b p"]) -> Float[Tensor, "b v"]:
        """Read the prompts of a causal model, which have one row each; return the logits after their last tokens."""
        p = ids.shape[1]
        read = mask.clone()
        read[:, -1] = True  # what predicts the first token, even of an empty prompt
        places = _real(read)
        positions = position_ids(mask).flatten()[places.place]
        before = torch.ones((p, p), dtype=torch.bool, device=ids.device).tril()
        seen = hidden_keys(before & mask.unsqueeze(1), self.stack.dtype).unsqueeze(1)
        view = Pass(
            places=places, mask=seen.repeat_interleave(self.repeat, 2), start=0, turn=_turn(self.stack, positions)
        )
        x = _embedded(self.stack, ids.flatten()[places.place], positions)
        last = read.flatten().cumsum(0)[p - 1 :: p] - 1
        for i, (block, cache) in enumerate(zip(self.stack.blocks, self.cache, strict=True)):
            x = _block(self.stack, block, x, view, cache, last=last if i + 1 == len(self.cache) else None)
        return self._logits(x)

    def step(self, tokens: Int[Tensor, " n"]) -> Float[Tensor, "n v"]:
        end = self.columns + self.places.slots
        mask = self.mask[..., :end]
        if self.stack.bias is not None:
            bias = self.stack.bias[:, self.t].index_select(1, self.step_of[:end])
            mask = mask + bias.to(mask.dtype).unsqueeze(1)
        positions = self.offset + self.t
        view = Pass(places=self.places, mask=mask, start=self.columns, turn=_turn(self.stack, positions))
        x = _embedded(self.stack, tokens, positions)
        for i, (block, cache) in enumerate(zip(self.stack.blocks, self.cache, strict=True)):
            encoded = None if self.encoded is None else (self.encoded.layers[i], self.encoded.mask)
            x = _block(self.stack, block, x, view, cache, encoded)
        self.columns, self.t = end, self.t + 1
        return self._logits(x)

    def _logits(self, x: Float[Tensor, "n e"]) -> Float[Tensor, "n v"]:
        x = self.stack.last(x)
        return self.plan.head(x if self.plan.head_scale is None else x * self.plan.head_scale).float()


def hidden_keys(seen: Bool[Tensor, "*n c"], dtype: torch.dtype) -> Float[Tensor, "*n c"]:
    """Give what is added to scores: 0, or very negative where a key is not seen."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)


def _real(mask: Bool[Tensor, "b p"]) -> Places:
    """Give every real token a row, in a slot for each place of its prompt."""
    return Places(place=mask.flatten().nonzero().squeeze(-1), groups=mask.shape[0], slots=mask.shape[1])


def _encode(plan: Plan, stack: Stack, ids: Int[Tensor, "b p"], mask: Bool[Tensor, "b p"]) -> Encoded:
    """Run the encoder, and project its states for every block of the decoder."""
    places, keys = _real(mask), hidden_keys(mask, stack.dtype)[:, None, None]
    assert stack.bias is not None
    view = Pass(places=places, mask=stack.bias.to(stack.dtype) + keys, start=0, turn=None)
    x = _embedded(stack, ids.flatten()[places.place], places.place)
    for block in stack.blocks:
        x = _block(stack, block, x, view, None)
    x = stack.last(x)
    shape = (*mask.shape, -1)
    layers = [places.spread(b.cross.keys_values(x)).view(shape) for b in plan.decoder.blocks if b.cross is not None]
    return Encoded(layers=[Cache(layer, stack.heads, stack.head_size) for layer in layers], mask=keys)


def _embedded(stack: Stack, tokens: Int[Tensor, " n"], positions: Int[Tensor, " n"]) -> Float[Tensor, "n e"]:
    x = stack.tokens(tokens)
    return x if stack.positions is None else x + stack.positions(positions)


def _turn(stack: Stack, positions: Int[Tensor, " n"]) -> Turn | None:
    if stack.rotary is None:
        return None
    cos, sin = (table.index_select(0, positions).unsqueeze(1) for table in stack.rotary)
    return cos, sin


def _block(
    stack: Stack,
    block: Block,
    x: Float[Tensor, "n e"],
    view: Pass,
    cache: Cache | None,
    encoded: tuple[Cache, Tensor] | None = None,
    last: Int[Tensor, " g"] | None = None,
) -> Float[Tensor, "m e"]:
    """Compute a block, in place where it adds; with `last`, only those rows go on, the last slots of their groups."""
    normed = block.norm(x)
    mixed = _self_attention(stack, block, normed, view, cache, only_last=last is not None)
    if last is not None:
        x, normed = x[last], normed[last]
    read = normed if block.mlp_norm is None else None
    if block.parallel and block.mlp_norm is not None:
        read = block.mlp_norm(x)
    x = block.out.add_to(x, mixed)
    if block.cross is not None and encoded is not None:
        query = block.cross.query(block.cross.norm(x))
        x = block.cross.out.add_to(x, _cross_attention(query, view.places, *encoded, block.scale))
    if read is None:
        assert block.mlp_norm is not None
        read = block.mlp_norm(x)
    up = block.up(read)
    if block.gate is not None:
        gate, up = up.chunk(2, dim=-1)
        up = block.gate.function(gate) * up
    return block.down.add_to(x, up)


def _self_attention(
    stack: Stack, block: Block, x: Float[Tensor, "n e"], view: Pass, cache: Cache | None, only_last: bool
) -> Float[Tensor, "m i"]:
    """Attend to what is in the cache and to the rows themselves, which are added to it."""
    groups, slots, mask, d = view.places.groups, view.places.slots, view.mask, stack.head_size
    rows = view.places.spread(_turned(stack, block, block.qkv(x), view.turn)).view(groups, slots, -1)
    query, fresh = rows.split((stack.heads * d, 2 * stack.key_heads * d), dim=2)
    if cache is None:
        cache, end = Cache(fresh.contiguous(), stack.key_heads, d), slots
    else:
        end = view.start + slots
        cache.columns[:, view.start : end].copy_(fresh)
    if only_last:
        query, slots, mask = query[:, -1:], 1, mask[:, :, -(stack.heads // stack.key_heads) :]
    mixed = _attention(query, cache.keys[:, :, :end], cache.values[:, :, :end], mask, block.scale)
    mixed = mixed.reshape(groups * slots, -1)
    return mixed if only_last else view.places.gather(mixed)


def _attention(
    query: Float[Tensor, "g s i"],
    keys: Float[Tensor, "g h c d"],
    values: Float[Tensor, "g h c d"],
    mask: Float[Tensor, "#g #h q #c"],
    scale: float,
) -> Float[Tensor, "g s i"]:
    """Let the query heads of one key head stand together, so that they read it once."""
    attend = nn.functional.scaled_dot_product_attention
    groups, slots, width = query.shape
    heads, d = keys.shape[1], keys.shape[3]
    if width == heads * d:
        mixed = attend(query.view(groups, slots, heads, d).transpose(1, 2), keys, values, attn_mask=mask, scale=scale)
        return mixed.transpose(1, 2).reshape(groups, slots, width)
    repeat = width // (heads * d)
    query = query.reshape(groups, slots, heads, repeat, d).transpose(1, 2).flatten(2, 3)
    mixed = attend(query, keys, values, attn_mask=mask, scale=scale)
    return mixed.view(groups, heads, slots, repeat, d).transpose(1, 2).reshape(groups, slots, width)


def _turned(stack: Stack, block: Block, rows: Float[Tensor, "n w"], turn: Turn | None) -> Float[Tensor, "n w"]:
    """Norm queries and keys, if the model does, and turn them by their positions, in place."""
    if block.head_norms is None and turn is None:
        return rows
    n, heads, both = rows.shape[0], stack.heads, stack.heads + stack.key_heads
    by_head = rows.view(n, -1, stack.head_size)
    if block.head_norms is not None:
        queries, keys = block.head_norms
        by_head[:, :heads] = queries(by_head[:, :heads])
        by_head[:, heads:both] = keys(by_head[:, heads:both])
    if turn is not None:
        cos, sin = turn
        width = cos.shape[-1]
        part = by_head[:, :both, :width]
        part.copy_(torch.addcmul(part * cos, part.roll(width // 2, dims=-1), sin))
    return rows


def _cross_attention(
    query: Float[Tensor, "n i"], places: Places, cache: Cache, mask: Float[Tensor, "g 1 1 p"], scale: float
) -> Float[Tensor, "n i"]:
    rows = places.spread(query).view(places.groups, places.slots, -1)
    mixed = _attention(rows, cache.keys, cache.values, mask, scale)
    return places.gather(mixed.view(places.groups * places.slots, -1))
