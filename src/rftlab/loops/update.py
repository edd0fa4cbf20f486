"""The gradient of one optimiser step: how rows are divided, and how the parts add up."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rftlab.loops.networks import NetworkSet
from rftlab.ranks import Ranks
from rftlab.types import Algorithm, Experience, Forward, LossOutput, Totals

Cut = Callable[[Experience, torch.Generator], list[Int[Tensor, " m"]]]  # a pass over an experience -> its minibatches


def minibatches_of(size: int) -> Cut:
    """Cut a pass into minibatches of at most `size` rows."""
    return lambda experience, generator: minibatches(experience.unit, size, generator)


def number_of_minibatches(count: int) -> Cut:
    """Cut a pass into exactly `count` minibatches of about equally many response tokens."""
    return lambda experience, generator: balanced_minibatches(
        experience.unit, experience.response_mask.sum(1), count, generator
    )


def minibatches(unit: Int[Tensor, " n"], size: int, generator: torch.Generator) -> list[Int[Tensor, " m"]]:
    """Put the units into random order and cut the rows into minibatches of at most `size` rows; no unit is parted.

    Where one minibatch takes all rows, they stay in their order.
    """
    if len(unit) <= size:
        return [torch.arange(len(unit), device=unit.device)]
    rows = shuffled(unit, generator)
    return [rows[part] for part in cut(unit[rows], size)]


def balanced_minibatches(
    unit: Int[Tensor, " n"], tokens: Int[Tensor, " n"], count: int, generator: torch.Generator
) -> list[Int[Tensor, " m"]]:
    """Put the units into random order and cut the rows into `count` minibatches with about equally many `tokens`.

    No unit is parted and no minibatch is empty. Where one minibatch takes all rows, they stay in their order.
    """
    if count == 1:
        return [torch.arange(len(unit), device=unit.device)]
    rows = shuffled(unit, generator)
    sizes = unit[rows].unique_consecutive(return_counts=True)[1].tolist()
    weights = [int(part.sum()) for part in tokens[rows].cpu().split(sizes)]
    numbers = [sum(sizes[part]) for part in balanced_cut(weights, count)]
    return list(rows.split(numbers))


def shuffled(unit: Int[Tensor, " n"], generator: torch.Generator) -> Int[Tensor, " n"]:
    """Put the units into random order; the rows of each stay together, in their order."""
    numbers, position = unit.unique(return_inverse=True)
    order = torch.randperm(len(numbers), generator=generator).to(unit.device)
    place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=unit.device))
    return place[position].argsort(stable=True)


def balanced_cut(weights: Sequence[int], count: int) -> list[slice]:
    """Cut weights into `count` parts of one or more, each boundary as near as can be to its share of the sum.

    Raises:
        ValueError: There are fewer weights than parts.
    """
    if len(weights) < count:
        raise ValueError(f"{len(weights)} units cannot be cut into {count} minibatches")
    total, parts, end, seen = sum(weights), [], 0, 0
    for number in range(1, count + 1):
        start, last = end, len(weights) - (count - number)  # the parts to come have one weight each at least
        end, seen = start + 1, seen + weights[start]
        goal = total * number  # of count * seen: the boundary at number / count of the sum
        while end < last and (number == count or abs(count * (seen + weights[end]) - goal) < abs(count * seen - goal)):
            end, seen = end + 1, seen + weights[end]
        parts.append(slice(start, end))
    return parts


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
    algorithm: Algorithm,
    networks: NetworkSet,
    minibatch: Experience,
    *,
    trimmed: bool,
    ranks: Ranks,
    new: Forward | None = None,
) -> list[LossOutput]:
    """Add up the gradient of one optimiser step over its microbatches; what each says of it is returned, detached.

    The totals of the whole step serve all microbatches: their number changes nothing. Rows that share a prompt come
    into one microbatch as far as it holds them, and are read together. `trimmed` drops the columns that are padding in
    a whole microbatch. Of a step that is one microbatch, the networks may have told `new` before.
    """
    totals = totals_of(minibatch, ranks)
    outputs = []
    if new is None and len(minibatch.unit) > networks.numerics.microbatch_size:
        minibatch = minibatch.rows(minibatch.prompt_index.argsort(stable=True))
    rows = torch.arange(len(minibatch.unit), device=minibatch.unit.device)
    for part in cut(minibatch.unit, networks.numerics.microbatch_size):
        batch = minibatch.rows(rows[part])
        if trimmed:
            batch = trim(batch)
        output = algorithm.loss(networks(batch, algorithm.needs.entropy) if new is None else new, batch, totals)
        output.loss.backward()
        outputs.append(replace(output, loss=output.loss.detach()))
    ranks.sum_gradients(p for p in networks.parameters() if p.requires_grad)
    return outputs


def trim(batch: Experience) -> Experience:
    """Drop the columns that are padding in every row, on whichever side they are; where all are, one stays."""
    asked, answered = batch.prompt_mask.any(dim=0), batch.response_mask.any(dim=0)
    asked[0] |= ~asked.any()
    answered[0] |= ~answered.any()
    read = torch.cat([asked, answered[1:]])  # positions of a causal row, whose last token predicts nothing
    kept = {len(read): read, len(answered): answered}
    return replace(
        batch,
        prompt_ids=batch.prompt_ids[:, asked],
        prompt_mask=batch.prompt_mask[:, asked],
        response_ids=batch.response_ids[:, answered],
        response_mask=batch.response_mask[:, answered],
        columns={name: x if x.ndim == 1 else x[:, kept[x.shape[1]]] for name, x in batch.columns.items()},
        prompt_columns={name: x[:, asked] for name, x in batch.prompt_columns.items()},
    )


def joined(outputs: Sequence[LossOutput], norm: Float[Tensor, ""], ranks: Ranks) -> dict[str, float]:
    """Add up `loss` and metrics of all microbatches and processes, take the largest of their maxima, add `grad/norm`.

    All reach the host together: one wait per optimiser step. The norm is that of the joint gradient already. Of weights
    with `squares`, NAME_ess is their effective share, (sum of w)^2 / (N sum of w^2), in (0, 1]; 0 without any weight.
    """
    shares = [(output.loss, *output.metrics.values(), *output.squares.values()) for output in outputs]
    sums = torch.zeros(len(shares[0]), dtype=torch.float64, device=outputs[0].loss.device)
    for share in shares:
        sums = sums + torch.stack([value.double() for value in share])
    squares = [f"{name} squared" for name in outputs[0].squares]
    values = [ranks.sum(sums), norm.detach().double().view(1)]
    if outputs[0].maxima:
        maxima = [torch.stack([value.double() for value in output.maxima.values()]) for output in outputs]
        values.append(ranks.max(torch.stack(maxima).amax(0)))
    names = ["loss", *outputs[0].metrics, *squares, "grad/norm", *outputs[0].maxima]
    found = dict(zip(names, torch.cat(values).tolist(), strict=True))
    for name, square in zip(outputs[0].squares, squares, strict=True):
        mean_square = found.pop(square)
        found[f"{name}_ess"] = found[name] ** 2 / mean_square if mean_square else 0.0
    return found
