"""The shared maths of the algorithms: small pure functions of tensors.

Every function that takes a mask ignores what lies outside it, whatever is stored there, in value and in gradient.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# A std below this is rounding noise, not signal: whitening it would turn nothing into a full-size update.
MIN_STD = 1e-6
# exp(20) = 4.9e8: beyond any ratio that a working run shows, and far from the float32 overflow at exp(88.7).
MAX_LOG_RATIO = 20.0
# Below the float32 overflow at exp(88.7), with room for sums over thousands of tokens.
MAX_EXPONENT = 80.0


Total = Callable[[Tensor], Tensor]  # adds up a partial sum over the processes of a run


def alone(partial: Tensor) -> Tensor:
    """Return the sum of the only process."""
    return partial


# --- masked statistics --------------------------------------------------------------------------------------------


def masked_sum(x: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Sum the elements that count; 0 when none does."""
    return torch.where(mask, x, 0.0).sum()


def masked_mean(x: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"], total: Total = alone) -> Float[Tensor, ""]:
    """Average the elements that count; 0 when none does."""
    return total(masked_sum(x, mask)) / total(mask.sum()).clamp(min=1)


def masked_var(x: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"], total: Total = alone) -> Float[Tensor, ""]:
    """Population variance of the elements that count; 0 when none does."""
    return masked_mean((x - masked_mean(x, mask, total)).square(), mask, total)


def masked_max(x: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Return the largest of the elements that count, none of them negative; 0 when none does."""
    return torch.where(mask, x, 0.0).max()


def row_sum(x: Float[Tensor, "n t"], mask: Bool[Tensor, "n t"]) -> Float[Tensor, " n"]:
    """Sum each row over the elements that count, e.g. token log-ratios to one number per response."""
    return torch.where(mask, x, 0.0).sum(dim=-1)


def by_pair(x: Float[Tensor, " n"]) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Part the rows of m pairs into the chosen and the rejected ones; of each pair the chosen row comes first."""
    chosen, rejected = x.view(-1, 2).unbind(1)
    return chosen, rejected


def whiten(x: Float[Tensor, "n t"], mask: Bool[Tensor, "n t"], total: Total = alone) -> Float[Tensor, "n t"]:
    """Shift and scale the elements that count to mean 0 and std 1; the others become 0.

    Values that differ by rounding noise only (std below `MIN_STD`) become 0 altogether. The moments are float64, so
    that a large common offset does not turn into noise.
    """
    wide = x.double()
    mean, var = masked_mean(wide, mask, total), masked_var(wide, mask, total)
    whitened = (wide - mean) * torch.rsqrt(var + 1e-8)
    return torch.where(mask & (var.sqrt() > MIN_STD), whitened, 0.0).to(x.dtype)


def explained_variance(
    values: Float[Tensor, "n t"], returns: Float[Tensor, "n t"], mask: Bool[Tensor, "n t"], total: Total = alone
) -> Float[Tensor, ""]:
    """Share of the variance of the returns that the values predict: 1 - Var(R - V) / Var(R).

    1 is perfect, 0 is as good as a constant; NaN when the returns do not vary.
    """
    spread = masked_var(returns, mask, total)
    return torch.where(spread > 0, 1.0 - masked_var(returns - values, mask, total) / spread, torch.nan)


# --- next-token distributions -------------------------------------------------------------------------------------


def gather_logprobs(logits: Float[Tensor, "*rows v"], ids: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """Log-probability of each id, in nats; the log-softmax is float32 whatever the dtype of the logits."""
    logits = logits.float()
    chosen = logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    return chosen - logits.logsumexp(dim=-1)


def entropy(logits: Float[Tensor, "*rows v"]) -> Float[Tensor, "*rows"]:
    """Entropy of each next-token distribution over the full vocabulary, in nats and float32."""
    return entropy_of(logits.float().log_softmax(dim=-1))


def entropy_of(logprobs: Float[Tensor, "*rows v"]) -> Float[Tensor, "*rows"]:
    """Entropy of each distribution, given as log-probabilities; an impossible token (-inf) adds nothing.

    0 log 0 is 0, in value and in gradient, where `torch.special.entr` has a gradient of infinity.
    """
    return -(logprobs.exp() * logprobs.masked_fill(logprobs == -torch.inf, 0.0)).sum(dim=-1)


def nucleus(logits: Float[Tensor, "m v"], top_p: float, min_tokens: int) -> Bool[Tensor, "m v"]:
    """Say which tokens are the fewest most likely ones whose probability reaches `top_p`, at least `min_tokens`.

    Equals of the last one belong to them, so the set does not depend on how a sort breaks ties.
    """
    ordered = logits.sort(descending=True).values
    probs = ordered.softmax(-1)
    needed = (probs.cumsum(-1) - probs < top_p).sum(-1, keepdim=True)
    last = needed.clamp(min=min_tokens).clamp(max=logits.shape[-1]) - 1
    return logits >= ordered.gather(-1, last)


# --- Kullback-Leibler estimators ----------------------------------------------------------------------------------
# For tokens sampled from pi, with x = log pi - log ref. Schulman, "Approximating KL divergence" (2020).


def kl_k1(logprobs: Float[Tensor, "*shape"], ref_logprobs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """k1 = x: unbiased for KL(pi || ref), of either sign; its sum over a response estimates the sequence KL."""
    return logprobs - ref_logprobs


def kl_k2(logprobs: Float[Tensor, "*shape"], ref_logprobs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """k2 = x^2 / 2: biased, but its gradient on samples from pi is that of KL(pi || ref)."""
    return (logprobs - ref_logprobs).square() / 2


def kl_k3(logprobs: Float[Tensor, "*shape"], ref_logprobs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """k3 = exp(-x) - 1 + x: unbiased for KL(pi || ref) and never negative.

    The sign of the exponent belongs to samples from pi; exp(x) - 1 - x would estimate chi^2 - KL on them. The exponent
    is cut at `MAX_EXPONENT`: a token that is less likely by more than that no longer makes a mean infinite.
    """
    x = logprobs - ref_logprobs
    return torch.expm1((-x).clamp(max=MAX_EXPONENT)) + x


# --- rewards and advantages ---------------------------------------------------------------------------------------


def score_at_last_token(scores: Float[Tensor, " n"], mask: Bool[Tensor, "n t"]) -> Float[Tensor, "n t"]:
    """Put the score of each response on its last real token, once; a row without tokens has nowhere to put it."""
    tokens_from_here = mask.flip(1).cumsum(dim=1).flip(1)
    return torch.where(mask & (tokens_from_here == 1), scores.unsqueeze(1), 0.0)


def token_rewards(
    scores: Float[Tensor, " n"], kl_per_token: Float[Tensor, "n t"], mask: Bool[Tensor, "n t"], beta: float
) -> Float[Tensor, "n t"]:
    """Score on the last token, minus the penalty beta * kl on every token (Ziegler et al. 2019, eq. 2)."""
    return score_at_last_token(scores, mask) - beta * torch.where(mask, kl_per_token, 0.0)


def gae(
    rewards: Float[Tensor, "n t"],
    values: Float[Tensor, "n t"],
    mask: Bool[Tensor, "n t"],
    gamma: float,
    lam: float,
) -> Float[Tensor, "n t"]:
    """Generalised advantage estimates (Schulman et al. 2016, eq. 16); 0 outside the mask.

    delta_t = r_t + gamma V(s_{t+1}) - V(s_t);  A_t = delta_t + gamma lam A_{t+1}. V and A are 0 after the last real
    token, also in rows that the length limit ended.
    """
    rewards, values = torch.where(mask, rewards, 0.0), torch.where(mask, values, 0.0)
    next_values = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    deltas = rewards + gamma * next_values - values
    advantages = torch.zeros_like(deltas)
    following = torch.zeros_like(deltas[:, 0])
    for t in reversed(range(deltas.shape[1])):
        following = deltas[:, t] + gamma * lam * following
        advantages[:, t] = following
    return torch.where(mask, advantages, 0.0)


# --- losses per token ---------------------------------------------------------------------------------------------


def clipped_surrogate(
    logprobs: Float[Tensor, "n t"],
    old_logprobs: Float[Tensor, "n t"],
    advantages: Float[Tensor, "n t"],
    mask: Bool[Tensor, "n t"],
    clip_range: float | None,
) -> tuple[Float[Tensor, "n t"], Bool[Tensor, "n t"]]:
    """Policy loss of each token, max(-A rho, -A clip(rho, 1 - eps, 1 + eps)) (Schulman et al. 2017, eq. 7, negated).

    Without a `clip_range` it is -A rho, their eq. 6 negated. The log-ratio is cut at `MAX_LOG_RATIO` from above, so
    that no ratio overflows.

    Returns:
        The loss, 0 outside the mask, and where clipping rules: there the token has no gradient.
    """
    log_ratio = torch.where(mask, logprobs - old_logprobs, 0.0)
    ratio = log_ratio.clamp(max=MAX_LOG_RATIO).exp()
    advantages = torch.where(mask, advantages, 0.0)
    unclipped = -advantages * ratio
    if clip_range is None:
        return unclipped, torch.zeros_like(mask)
    clipped = -advantages * ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    return torch.maximum(unclipped, clipped), clipped > unclipped


def squared_value_loss(
    values: Float[Tensor, "n t"], returns: Float[Tensor, "n t"], mask: Bool[Tensor, "n t"]
) -> Float[Tensor, "n t"]:
    """Value loss of each token, (V - R)^2 / 2; 0 outside the mask."""
    return torch.where(mask, values - returns, 0.0).square() / 2


def clipped_value_loss(
    values: Float[Tensor, "n t"],
    old_values: Float[Tensor, "n t"],
    returns: Float[Tensor, "n t"],
    mask: Bool[Tensor, "n t"],
    clip_range: float,
) -> tuple[Float[Tensor, "n t"], Bool[Tensor, "n t"]]:
    """Value loss of each token, max((V - R)^2, (clip(V, V_old - eps, V_old + eps) - R)^2) / 2.

    Returns:
        The loss, 0 outside the mask, and where clipping rules: there the token has no gradient.
    """
    near = values.clamp(old_values - clip_range, old_values + clip_range)
    unclipped, clipped = squared_value_loss(values, returns, mask), squared_value_loss(near, returns, mask)
    return torch.maximum(unclipped, clipped), clipped > unclipped
