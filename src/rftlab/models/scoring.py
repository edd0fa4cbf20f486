"""From logits to the log-probability of each response token and the entropy of its distribution."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.ops import entropy_of
from rftlab.types import EntropyMode, Forward

Scored = tuple[Float[Tensor, " m"], Float[Tensor, " m"] | None]


class Chosen(torch.autograd.Function):
    """Log-probability of the token of each row, and the entropy without a gradient; probabilities are all it keeps."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, ids: Tensor, entropy: bool) -> tuple[Tensor, Tensor | None]:
        """Score (m v) logits."""
        normaliser = logits.logsumexp(-1)
        chosen = logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1) - normaliser
        learns = ctx.needs_input_grad[0]
        probs = (logits - normaliser.unsqueeze(-1)).exp_() if learns or entropy else None
        if learns:
            ctx.save_for_backward(probs, ids)
        if not entropy or probs is None:
            return chosen, None
        spread = normaliser - torch.bmm(probs.unsqueeze(1), logits.unsqueeze(2)).view(-1)
        ctx.mark_non_differentiable(spread)
        return chosen, spread

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor | None) -> tuple[Tensor, None, None]:  # ty: ignore[incompatible-method-override]
        """One-hot minus probabilities, times the gradient of each row."""
        probs, ids = ctx.saved_tensors
        found = probs * -gradient.unsqueeze(-1)
        return found.scatter_add_(-1, ids.unsqueeze(-1), gradient.unsqueeze(-1)), None, None


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
    """Give the log-probability of each token, and the entropy of its distribution if asked for.

    A token that was chosen is allowed, although rounding may see it on the other side of the edge than the sampler did.
    `plain` takes the log-softmax of torch, whose last bits differ.
    """
    logits = logits if temperature == 1.0 else logits / temperature
    if allowed is not None:
        logits = logits.masked_fill(~allowed.scatter(-1, ids.unsqueeze(-1), True), -torch.inf)
    quick = entropy == "logged" and allowed is None and not plain  # where no token is impossible
    if plain:
        chosen, spread = logits.log_softmax(-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1), None
    else:
        chosen, spread = Chosen.apply(logits, ids, quick)
    if entropy == "trained":
        spread = entropy_of(logits.log_softmax(-1))
    elif entropy == "logged" and not quick:
        spread = entropy_of(logits.detach().log_softmax(-1))
    return chosen, spread


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
