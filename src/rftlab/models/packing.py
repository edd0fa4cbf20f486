"""Responses and their prompts without padding, every prompt once: all tokens of a pass stand in one row.

Embeddings, norms and matrix products see this row; attention alone needs to know what belongs together and spreads the
tokens over grids. Rows are put into the order of their prompts, so that each part of a pass is one piece of the row.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A piece of the row as a padded grid, whose lines follow each other in the piece and are padded on the right."""

    lines: int
    width: int
    source: Int[Tensor, " g"] | None  # which token stands in each place, 0 in empty ones; None = all are taken
    target: Int[Tensor, " m"]  # the place of each token
    empty: Int[Tensor, " e"]  # places without a token

    def spread(self, x: Tensor, filling: float | None = None) -> Tensor:
        """Spread tokens (m ...) over the grid (lines width ...); empty places hold `filling`, or something finite."""
        if self.source is None:
            return x.reshape(self.lines, self.width, *x.shape[1:])
        grid = Rearranged.apply(x, self.source, self.target, None)
        grid = grid if filling is None else grid.index_fill(0, self.empty, filling)
        return grid.view(self.lines, self.width, *x.shape[1:])

    def collect(self, grid: Tensor) -> Tensor:
        """Undo `spread`."""
        flat = grid.reshape(self.lines * self.width, *grid.shape[2:])
        return flat if self.source is None else Rearranged.apply(flat, self.target, self.source, self.empty)

    def taken(self) -> Bool[Tensor, "lines width"]:
        """Tell where tokens stand."""
        taken = torch.ones(self.lines * self.width, dtype=torch.bool, device=self.target.device)
        taken[self.empty] = False
        return taken.view(self.lines, self.width)


class Rearranged(torch.autograd.Function):
    """Take elements of the first axis, each once: the gradient is then another choice, where torch would add up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, back: Tensor, left: Tensor | None) -> Tensor:
        """Take `index`; `back` is its inverse, in which the elements of `left` are of no meaning."""
        ctx.save_for_backward(back, left)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # ty: ignore[incompatible-method-override]
        """Bring each gradient to the place that its element came from; what was left has none."""
        back, left = ctx.saved_tensors
        found = gradient.index_select(0, back)
        return found if left is None else found.index_fill_(0, left, 0.0), None, None, None


def grid_of(lengths: Int[Tensor, " lines"]) -> Grid | None:
    """Lay out lines of these lengths; None where there is no token."""
    lines, width = len(lengths), int(lengths.max()) if len(lengths) else 0
    if width == 0:
        return None
    place = torch.arange(width, device=lengths.device)
    taken = (place < lengths.unsqueeze(1)).flatten()
    target, empty = taken.nonzero().squeeze(1), (~taken).nonzero().squeeze(1)
    source = (taken.long().cumsum(0) - 1).masked_fill(~taken, 0) if len(empty) else None
    return Grid(lines=lines, width=width, source=source, target=target, empty=empty)


@dataclass(frozen=True, kw_only=True)
class Packing:
    """Where each token of a pass stands: first those of the prompts, then those of the responses."""

    prompts: Grid  # b lines
    rows: Grid | None  # a line per response, in the order of prompts
    groups: Grid | None  # a line per prompt, with the tokens of all its responses
    owner: Int[Tensor, " n"]  # the prompt of each line of `rows`
    hidden_keys: Float[Tensor, "b 1 1 p"] | None  # -inf where a prompt has no token, else 0; None = all are there
    prompt_source: Int[Tensor, " i"]  # of each prompt token in the flattened (b p) of the prompts as given
    row_source: Int[Tensor, " j"]  # of each response token in the flattened (n t) of the responses as given
    positions: Int[Tensor, "1 m"]  # of every token in its text
    outputs: Int[Tensor, "n t"]  # the token that predicts each response token; of no meaning where none is

    @property
    def prompt_tokens(self) -> int:
        """Count the tokens of all prompts."""
        return len(self.prompt_source)

    def row_of(self, prompts: Tensor, responses: Tensor) -> Tensor:
        """Bring (b p ...) and (n t ...) into the one row (1 m ...) of a decoder that reads both."""
        parts = [prompts.flatten(0, 1)[self.prompt_source], responses.flatten(0, 1)[self.row_source]]
        return torch.cat(parts).unsqueeze(0)

    def apart(
        self, row: Float[Tensor, "1 m d"], p: int, t: int
    ) -> tuple[Float[Tensor, "b p d"], Float[Tensor, "n t d"]]:
        """Undo `row_of`; 0 where no token was read."""
        found = []
        for states, source, shape in (
            (row[0, : self.prompt_tokens], self.prompt_source, (self.prompts.lines, p)),
            (row[0, self.prompt_tokens :], self.row_source, (len(self.owner), t)),
        ):
            grid = states.new_zeros((shape[0] * shape[1], states.shape[-1]))
            found.append(grid.index_copy(0, source, states).view(*shape, -1))
        return found[0], found[1]


def pack(
    prompt_mask: Bool[Tensor, "b p"],
    response_mask: Bool[Tensor, "n t"],
    prompt_index: Int[Tensor, " n"],
    *,
    causal: bool,
) -> Packing | None:
    """Lay out a pass; None where that cannot be done: a prompt or a batch without tokens, or a gap in a response.

    Of a `causal` row, the last token is not read, as it predicts nothing, and the last token of the prompt predicts the
    first one. A decoder with an encoder reads a start token before the response instead.
    """
    given, answered = prompt_mask.sum(1), response_mask.sum(1)
    t = response_mask.shape[1]
    place = torch.arange(t, device=response_mask.device)
    ordered = torch.equal(response_mask, place < answered.unsqueeze(1))
    if not ordered or not len(given) or int(given.min()) == 0:
        return None
    prompts = grid_of(given)
    assert prompts is not None
    read = (answered - 1).clamp_min(0) if causal else answered
    order = prompt_index.argsort(stable=True)
    owner, lengths = prompt_index[order], read[order]
    taken = place < lengths.unsqueeze(1)
    line = order.repeat_interleave(lengths)
    within = place.expand_as(taken)[taken]
    per_prompt = torch.zeros_like(given).index_add_(0, owner, lengths)
    first = lengths.cumsum(0) - lengths + (int(given.sum()) if causal else 0)
    start = torch.empty_like(first).index_copy_(0, order, first)  # of each row, as given
    if causal:
        last = (given.cumsum(0) - 1)[prompt_index].unsqueeze(1)
        outputs = torch.cat([last, start.unsqueeze(1) + place[:-1]], dim=1)
        known = torch.cat([torch.ones_like(last, dtype=torch.bool), place[:-1] < read.unsqueeze(1)], dim=1)
        asked = prompt_mask.long().cumsum(1)[prompt_mask] - 1
        positions = torch.cat([asked, given[prompt_index[line]] + within])
    else:
        outputs, known, positions = start.unsqueeze(1) + place, place < read.unsqueeze(1), within
    hidden = None
    if prompts.source is not None:
        hidden = torch.zeros((len(given), 1, 1, prompts.width), device=given.device)
        hidden.masked_fill_(~prompts.taken()[:, None, None, :], -torch.inf)
    return Packing(
        prompts=prompts,
        rows=grid_of(lengths),
        groups=grid_of(per_prompt),
        owner=owner,
        hidden_keys=hidden,
        prompt_source=prompt_mask.flatten().nonzero().squeeze(1),
        row_source=line * t + within,
        positions=positions.unsqueeze(0),
        outputs=outputs.masked_fill(~known, 0),
    )
