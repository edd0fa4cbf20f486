"""From logits to the log-probability of each response token and the entropy of its distribution."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.ops import entropy_of
from rftlab.types import EntropyMode, Forward

Scored = tuple[Float[Tensor, " m"], Float[Tensor, " m"] | None]


PIECE = 1 << 16  # logits at a time: small enough to stay in a core's cache from the first pass over them to the last


class Chosen(torch.autograd.Function):
    """Log-probability of the token of each row, and the entropy without a gradient; logits are all it keeps.

    Rows are taken a few at a time, in float32. Over a vocabulary of 50,257 that takes a sixth of the time that whole
    tensors take, most of which is memory: neither probabilities nor a float32 copy of the logits ever exist as a whole.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, ids: Tensor, temperature: float, entropy: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Score (m v) logits of any dtype."""
        normaliser = torch.empty(len(logits), device=logits.device)
        spread = torch.empty_like(normaliser) if entropy else None
        for rows, exact in _pieces(logits, temperature):
            highest = exact.amax(-1, keepdim=True)
            weights = (exact - highest).exp_()
            total = weights.sum(-1)
            normaliser[rows] = highest.squeeze(-1) + total.log()
            if spread is not None:
                spread[rows] = normaliser[rows] - weights.mul_(exact).sum(-1) / total
        chosen = logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1).float()
        ctx.save_for_backward(logits, ids, normaliser)
        ctx.temperature = temperature
        if spread is not None:
            ctx.mark_non_differentiable(spread)
        return (chosen if temperature == 1.0 else chosen / temperature) - normaliser, spread

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor | None) -> tuple[Tensor, None, None, None]:  # ty: ignore[incompatible-method-override]
        """One-hot minus probabilities, times the gradient of each row, over the temperature."""
        logits, ids, normaliser = ctx.saved_tensors
        found = torch.empty_like(logits)
        for rows, exact in _pieces(logits, ctx.temperature):
            scale = gradient[rows].unsqueeze(-1)
            slope = (exact - normaliser[rows].unsqueeze(-1)).exp_().mul_(-scale)
            slope.scatter_add_(-1, ids[rows].unsqueeze(-1), scale)
            found[rows] = slope if ctx.temperature == 1.0 else slope.div_(ctx.temperature)
        return found, None, None, None


def _pieces(logits: Float[Tensor, "m v"], temperature: float) -> Iterator[tuple[slice, Float[Tensor, "k v"]]]:
    """Give a few rows at a time in float32, over the temperature."""
    k = max(1, PIECE // logits.shape[-1]) if logits.device.type == "cpu" else max(1, len(logits))
    for start in range(0, len(logits), k):
        rows = slice(start, start + k)
        yield rows, _warm(logits[rows], temperature)


class WithSlope(torch.autograd.Function):
    """Values of rows with their known derivative by the states: nothing is computed again, nothing else is kept."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, values: Tensor, slope: Tensor) -> Tensor:
        """Give the values."""
        ctx.save_for_backward(slope)
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # ty: ignore[incompatible-method-override]
        """Scale the derivative of each row."""
        (slope,) = ctx.saved_tensors
        return slope * gradient.unsqueeze(-1), None, None


def with_slope(
    scored: Callable[..., Scored], states: Float[Tensor, "m d"], *told: Tensor
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"] | None]:
    """Score states and find the derivative at once; only where nothing but the states learns."""
    with torch.enable_grad():
        asked = states.detach().requires_grad_(True)
        values, entropies = scored(asked, *told)
        (slope,) = torch.autograd.grad(values.sum(), asked)
    return WithSlope.apply(states, values.detach(), slope), entropies


def score_logits(
    logits: Float[Tensor, "m v"],
    ids: Int[Tensor, " m"],
    temperature: float,
    entropy: EntropyMode,
    allowed: Bool[Tensor, "m v"] | None = None,
    *,
    plain: bool = False,
) -> Scored:
    """Give the log-probability of each token, and the entropy of its distribution if asked for, in float32.

    A token that was chosen is allowed, although rounding may see it on the other side of the edge than the sampler did.
    `plain` takes the log-softmax of torch, whose last bits differ.
    """
    if allowed is not None:
        logits = logits.masked_fill(~allowed.scatter(-1, ids.unsqueeze(-1), True), -torch.inf)
    quick = entropy == "logged" and allowed is None and not plain  # where no token is impossible
    if plain:
        chosen, spread = _warm(logits, temperature).log_softmax(-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1), None
    else:
        chosen, spread = Chosen.apply(logits, ids, temperature, quick)
    if entropy == "trained":
        spread = entropy_of(_warm(logits, temperature).log_softmax(-1))
    elif entropy == "logged" and not quick:
        spread = entropy_of(_warm(logits.detach(), temperature).log_softmax(-1))
    return chosen, spread


def _warm(logits: Float[Tensor, "m v"], temperature: float) -> Float[Tensor, "m v"]:
    exact = logits.float()
    return exact if temperature == 1.0 else exact / temperature


def over_grid(
    parts: Sequence[tuple[Float[Tensor, " _"], Float[Tensor, " _"] | None]], response_mask: Bool[Tensor, "n t"]
) -> Forward:
    """Spread the scores of the m real tokens, in parts, over the (n, t) grid."""
    chosen, entropies = zip(*parts, strict=True)
    grid = chosen[0].new_zeros(response_mask.shape)
    known = [part for part in entropies if part is not None]
    return Forward(
        logprobs=grid.masked_scatter(response_mask, torch.cat(chosen)),
        entropy=grid.masked_scatter(response_mask, torch.cat(known)) if known else None,
        values=None,
    )
