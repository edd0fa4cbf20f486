"""The gradient of one optimiser step: how rows are divided, and how the parts add up."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from rftlab.loops.networks import NetworkSet
from rftlab.ranks import Ranks
from rftlab.types import Algorithm, Experience, LossOutput, Totals


def minibatches(unit: Int[Tensor, " n"], size: int, generator: torch.Generator) -> list[Int[Tensor, " m"]]:
    """Put the units into random order and cut the rows into minibatches of at most `size` rows; no unit is parted.

    Where one minibatch takes all rows, they stay in their order.
    """
    if len(unit) <= size:
        return [torch.arange(len(unit), device=unit.device)]
    numbers, position = unit.unique(return_inverse=True)
    order = torch.randperm(len(numbers), generator=generator).to(unit.device)
    place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=unit.device))
    rows = place[position].argsort(stable=True)
    return [rows[part] for part in cut(unit[rows], size)]


def cut(unit: Int[Tensor, " n"], size: int) -> list[slice]:
    """Cut rows into parts of at most `size` rows; a unit stays whole, also where it alone is larger."""
    parts, start, end = [], 0, 0
    for rows in unit.unique_consecutive(return_counts=True)[1].tolist():
        if end > start and end + rows - start > size:
            parts.append(slice(start, end))
            start = end
        end += rows
    return [*parts, slice(start, end)]


def totals_of(minibatch: Experience, ranks: Ranks) -> Totals:
    """Count what an optimiser step is made of, on all processes together."""
    sizes = [minibatch.response_mask.sum(), *map(len, (minibatch.unit, minibatch.unit.unique()))]
    tokens, rows, units = ranks.sum(torch.tensor(sizes, device=minibatch.unit.device)).tolist()
    return Totals(tokens=tokens, rows=rows, units=units)


def accumulate_gradient(
    algorithm: Algorithm, networks: NetworkSet, minibatch: Experience, *, trimmed: bool, ranks: Ranks
) -> dict[str, float]:
    """Add up the gradient of one optimiser step over its microbatches, and the metrics with it.

    The totals of the whole step serve all microbatches: their number changes nothing. Rows that share a prompt share
    its encoding. `trimmed` drops the columns that are padding in a whole microbatch.
    """
    totals = totals_of(minibatch, ranks)
    rows = torch.arange(len(minibatch.unit), device=minibatch.unit.device)
    outputs = []
    for part in cut(minibatch.unit, networks.numerics.microbatch_size):
        batch = minibatch.rows(rows[part])
        if trimmed:
            batch = trim(batch)
        output = algorithm.loss(networks(batch, algorithm.needs.entropy), batch, totals)
        output.loss.backward()
        outputs.append(LossOutput(loss=output.loss.detach(), metrics=output.metrics, maxima=output.maxima))
    ranks.sum_gradients(p for p in networks.parameters() if p.requires_grad)
    return joined(outputs, ranks)


def trim(batch: Experience) -> Experience:
    """Drop the columns that are padding in every row, on whichever side they are."""
    asked, answered = batch.prompt_mask.any(dim=0), batch.response_mask.any(dim=0)
    return replace(
        batch,
        prompt_ids=batch.prompt_ids[:, asked],
        prompt_mask=batch.prompt_mask[:, asked],
        response_ids=batch.response_ids[:, answered],
        response_mask=batch.response_mask[:, answered],
        columns={name: x[:, answered] if x.ndim == 2 else x for name, x in batch.columns.items()},
    )


def joined(outputs: Sequence[LossOutput], ranks: Ranks) -> dict[str, float]:
    """Add up the metrics of all microbatches and processes, and take the largest of their maxima.

    All reach the host together: one wait per optimiser step.
    """
    sums = torch.zeros(len(outputs[0].metrics), dtype=torch.float64, device=outputs[0].loss.device)
    for output in outputs:
        sums = sums + torch.stack([value.double() for value in output.metrics.values()])
    values = [ranks.sum(sums)]
    if outputs[0].maxima:
        maxima = [torch.stack([value.double() for value in output.maxima.values()]) for output in outputs]
        values.append(ranks.max(torch.stack(maxima).amax(0)))
    return dict(zip([*outputs[0].metrics, *outputs[0].maxima], torch.cat(values).tolist(), strict=True))
