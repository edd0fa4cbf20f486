"""The expected gradient of one prompt of a language model, estimated from sampled responses, and its bounds.

Responses y_1 ... y_G of scores r_i are drawn from the policy; s_i = d log p(y_i) / d theta. With the mean of the other
scores as baseline, the estimate of grad V = E[r s] is the mean of g_i = (r_i - mean_{j != i} r_j) s_i. It is the sample
covariance of r and s, and unbiased. Since E[s] = 0,

    E[ sum_{i != j} g_i . g_j / (G (G - 1)) ] = (1 + 1 / (G - 1)^2) ||grad V||^2,

so that two sums over the samples, of g_i and of ||g_i||^2, give an unbiased estimate of the squared norm as well.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from math import nan

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from rftlab.diagnostics.bounds import std_bounds
from rftlab.diagnostics.prompts import prompt_statistics
from rftlab.errors import UserError
from rftlab.models import Policy
from rftlab.models.scoring import score_logits
from rftlab.types import Responses

Tokens = tuple[int, ...]

Tick = Callable[[], None]

AT_ONCE = 1 << 24  # numbers in the gradients of single responses that are held at a time
MISSING_MASS = 1e-4  # responses drawn from less of the vocabulary than this leaves do not estimate this gradient


@dataclass(frozen=True, kw_only=True)
class SampledGradientBound:
    """Estimates for one prompt from G samples; rewards in raw units."""

    reward_mean: float
    reward_std: float  # population form over the G samples, as in `PromptStatistics`
    grad_norm: float  # ||g|| of the estimated gradient g; its square is too large by grad_error^2 on average
    grad_error: float  # standard error: root of the estimated E||g - grad V||^2
    grad_norm_squared: float  # unbiased for ||grad V||^2, and therefore negative where the noise outweighs the gradient
    jacobian_norm: float  # largest norm found at the prefixes looked at: an estimate of gamma from below
    bound_std: float
    bound_two_thirds: float
    prefixes: int  # at how many the Jacobian was measured


def sampled_gradient_bound(
    policy: Policy,
    prompt_ids: Int[Tensor, "1 p"],
    prompt_mask: Bool[Tensor, "1 p"],
    responses: Responses,
    scores: Float[np.ndarray, " n"],
    *,
    temperature: float,
    max_new_tokens: int,
    reward_range: tuple[float, float],
    prefixes: int,
    power_iterations: int,
    generator: torch.Generator,
    tick: Tick = lambda: None,
) -> SampledGradientBound:
    """Estimate the gradient of the expected reward of one prompt and its bounds from G >= 2 sampled responses.

    Policy and Jacobian are those of logits / temperature. The gradient is taken in all parameters that train, of some
    distinct responses at a time: of as many as `AT_ONCE` allows, and of a large model one, whatever G is. The Jacobian
    norm is the maximum over `prefixes` prefixes, drawn among the distinct ones of the responses; NaN where that is 0.
    It is a lower estimate of gamma, as other prefixes remain and the power iteration ends early; with it the bounds are
    estimates too.

    Args:
        max_new_tokens: L_out, the most tokens that a response may have.
        power_iterations: steps of the power iteration per prefix; each costs two backward passes.
        tick: called before the gradient of each response and before each power iteration; what it raises ends all.

    Raises:
        UserError: the responses were drawn from a part of the vocabulary only.
        ValueError: fewer than two responses, or a score outside `reward_range`.
    """
    _refuse(responses, scores, reward_range)
    rows = [
        tuple(ids[mask].tolist()) for ids, mask in zip(responses.response_ids, responses.response_mask, strict=True)
    ]
    estimate, square = _gradient(policy, prompt_ids, prompt_mask, rows, scores, temperature, tick)
    looked_at = _draw_prefixes(rows, prefixes, generator)
    norms = [
        logits_jacobian_norm(policy, prompt_ids, prompt_mask, prefix, temperature, power_iterations, generator, tick)
        for prefix in looked_at
    ]
    jacobian_norm = max(norms, default=nan)
    moments = prompt_statistics(scores[np.newaxis])
    by_std, by_two_thirds = std_bounds(moments.std, np.array([jacobian_norm]), reward_range, max_new_tokens)
    return SampledGradientBound(
        reward_mean=float(moments.mean[0]),
        reward_std=float(moments.std[0]),
        grad_norm=estimate**0.5,
        grad_error=max(0.0, estimate - square) ** 0.5,
        grad_norm_squared=square,
        jacobian_norm=jacobian_norm,
        bound_std=float(by_std[0]),
        bound_two_thirds=float(by_two_thirds[0]),
        prefixes=len(looked_at),
    )


def _refuse(responses: Responses, scores: Float[np.ndarray, " n"], reward_range: tuple[float, float]) -> None:
    if len(scores) < 2:
        raise ValueError(f"{len(scores)} responses; an estimate of the error needs two")
    if scores.min() < reward_range[0] or scores.max() > reward_range[1]:
        raise ValueError(f"scores from {scores.min():g} to {scores.max():g}; expected all within {reward_range}")
    if (kept := float(responses.kept_mass.min())) < 1 - MISSING_MASS:
        raise UserError(
            f"a token drawn from {kept:.4g} of the probability",
            "responses drawn from the whole vocabulary, whose gradient this is",
            "the sampling: top_k 0, top_p 1.0, min_new_tokens 0",
        )


# --- the gradient -------------------------------------------------------------------------------------------------


def leave_one_out(scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Subtract from each score the mean of the others: G / (G - 1) times its distance from the mean.

    Measured from the first score, as in `prompt_statistics`: equal scores give exactly 0, and so does their gradient.
    """
    shifted = scores - scores[0]
    return (shifted - shifted.mean()) * len(scores) / (len(scores) - 1)


def squared_norms(sum_square: float, square_sum: float, n: int) -> tuple[float, float]:
    """Turn ||sum g_i||^2 and sum ||g_i||^2 into ||g||^2, biased upwards, and an unbiased estimate of ||grad V||^2.

    Their difference is an unbiased estimate of E||g - grad V||^2, and never negative.
    """
    pairs = (sum_square - square_sum) / (n * (n - 1))
    return sum_square / n**2, pairs / (1 + 1 / (n - 1) ** 2)


def _gradient(
    policy: Policy,
    prompt_ids: Int[Tensor, "1 p"],
    prompt_mask: Bool[Tensor, "1 p"],
    rows: list[Tokens],
    scores: Float[np.ndarray, " n"],
    temperature: float,
    tick: Tick,
) -> tuple[float, float]:
    """Stream over the distinct responses; those that sum to no weight at all cost nothing.

    Equal responses share s_i: they enter by the sum of their weights and the sum of their squared weights.
    """
    weights: defaultdict[Tokens, list[float]] = defaultdict(list)
    for row, weight in zip(rows, leave_one_out(scores).tolist(), strict=True):
        weights[row].append(weight)
    weighed = sorted((row for row, shares in weights.items() if any(shares)), key=len)  # little padding in a part
    parameters = trained(policy)
    total = [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
    square_sum = 0.0
    size = rows_at_once(policy, parameters)
    for start in range(0, len(weighed), size):
        part = weighed[start : start + size]
        for _ in part:
            tick()
        shares, squares = ([sum(w**k for w in weights[row]) for row in part] for k in (1, 2))
        gradients = log_gradients(policy, prompt_ids, prompt_mask, part, temperature, parameters)
        square_sum += sum(s * found for s, found in zip(squares, _squares(gradients), strict=True))
        for entry, gradient in zip(total, gradients, strict=True):
            entry.add_(torch.tensordot(entry.new_tensor(shares), gradient.float(), dims=1))
    return squared_norms(_square(total), square_sum, len(rows))


def rows_at_once(policy: Policy, parameters: list[nn.Parameter]) -> int:
    """Say of how many responses gradients are taken at a time: of one in bfloat16, as torch.func does not cast."""
    return max(1, AT_ONCE // sum(p.numel() for p in parameters)) if policy.compute_dtype == torch.float32 else 1


def log_gradients(
    policy: Policy,
    prompt_ids: Int[Tensor, "1 p"],
    prompt_mask: Bool[Tensor, "1 p"],
    rows: list[Tokens],
    temperature: float,
    parameters: list[nn.Parameter],
) -> list[Tensor]:
    """Differentiate the log-probability of each response by the parameters: of each parameter (n, *its shape).

    The prompt and the parameters are the same for all, so that an encoder runs once and every layer computes the
    gradients of all responses in one product.
    """
    if len(rows) == 1:
        ids = prompt_ids.new_tensor(rows)
        with torch.enable_grad():
            forward = policy(prompt_ids, prompt_mask, ids, torch.ones_like(ids, dtype=torch.bool), temperature)
        found = torch.autograd.grad(forward.logprobs.sum(), parameters, allow_unused=True, materialize_grads=True)
        return [x.unsqueeze(0) for x in found]
    longest = max(map(len, rows))
    ids = prompt_ids.new_tensor([(*row, *(policy.pad_id,) * (longest - len(row))) for row in rows])
    mask = torch.tensor([[place < len(row) for place in range(longest)] for row in rows], device=ids.device)
    network = _Logits(policy, prompt_ids, prompt_mask)
    names = {id(p): name for name, p in network.named_parameters()}
    known = {names[id(p)]: p.detach() for p in parameters}

    def logprob(known: dict[str, Tensor], ids: Int[Tensor, " t"], mask: Bool[Tensor, " t"]) -> Float[Tensor, ""]:
        chosen, _ = score_logits(functional_call(network, known, ids), ids, temperature, "none", plain=True)
        return (chosen * mask).sum()

    with policy.plainly(), sdpa_kernel(SDPBackend.MATH):  # what torch.func knows rules for
        return list(vmap(grad(logprob), in_dims=(None, 0, 0))(known, ids, mask).values())


class _Logits(nn.Module):
    """The logits at each place of a response to one prompt, as a module that can be called with other parameters."""

    def __init__(self, policy: Policy, prompt_ids: Int[Tensor, "1 p"], prompt_mask: Bool[Tensor, "1 p"]) -> None:
        super().__init__()
        self.policy, self.prompt = policy, (prompt_ids, prompt_mask)

    def forward(self, ids: Int[Tensor, " t"]) -> Float[Tensor, "t v"]:
        if self.policy.family == "classifier":
            return self.policy.classify(*self.prompt)[1]
        # padding behind a response is read too: no token before it sees it
        every = torch.ones((1, len(ids)), dtype=torch.bool, device=ids.device)
        return self.policy.logits(self.policy.hidden(*self.prompt, ids.unsqueeze(0), every)[0])


def trained(policy: Policy) -> list[nn.Parameter]:
    """List the parameters of which gradients and Jacobians are taken."""
    return [p for p in policy.parameters() if p.requires_grad]


def _squares(gradients: list[Tensor]) -> list[float]:
    """Sum the squares of all elements for each index of the first axis, in double precision."""
    squares = [x.flatten(1).square().sum(1, dtype=torch.float64) for x in gradients]
    return torch.stack(squares).sum(0).tolist()


def _square(tensors: list[Tensor]) -> float:
    """Sum the squares of all elements, in double precision."""
    return float(sum(t.square().sum(dtype=torch.float64) for t in tensors))


# --- the Jacobian -------------------------------------------------------------------------------------------------


def _draw_prefixes(rows: list[Tokens], count: int, generator: torch.Generator) -> list[Tokens]:
    """Draw `count` of the distinct prefixes at which the responses were continued, or take all if there are fewer."""
    distinct = sorted({row[:end] for row in rows for end in range(len(row))})
    order = torch.randperm(len(distinct), generator=generator, device=generator.device)
    return [distinct[i] for i in order[:count].tolist()]


def logits_jacobian_norm(
    policy: Policy,
    prompt_ids: Int[Tensor, "1 p"],
    prompt_mask: Bool[Tensor, "1 p"],
    prefix: Tokens,
    temperature: float,
    power_iterations: int,
    generator: torch.Generator,
    tick: Tick = lambda: None,
) -> float:
    """Estimate the operator norm of d (logits / temperature) / d parameters after a prefix, from below."""
    # the fused kernels of attention cannot be differentiated twice
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        logits = _next_logits(policy, prompt_ids, prompt_mask, prefix) / temperature
        return operator_norm(logits, trained(policy), power_iterations, generator, tick)


def _next_logits(
    policy: Policy, prompt_ids: Int[Tensor, "1 p"], prompt_mask: Bool[Tensor, "1 p"], prefix: Tokens
) -> Float[Tensor, " v"]:
    if policy.family == "classifier":
        return policy.classify(prompt_ids, prompt_mask)[1][0]
    # the last token stands where the next one is predicted, and is not read
    ids = torch.tensor([[*prefix, policy.pad_id]], device=prompt_ids.device)
    with policy.plainly():
        hidden = policy.hidden(prompt_ids, prompt_mask, ids, torch.ones_like(ids, dtype=torch.bool))
    return policy.logits(hidden[0, -1])


def operator_norm(
    outputs: Float[Tensor, " k"],
    parameters: list[nn.Parameter],
    power_iterations: int,
    generator: torch.Generator,
    tick: Tick = lambda: None,
) -> float:
    """Estimate the largest singular value of J = d outputs / d parameters by power iteration on J J^T.

    Every iterate is ||J^T u|| for a unit vector u: never above the norm, and growing towards it. J v is the derivative
    of w -> (J^T w) . v, so one graph serves all iterations.
    """
    handle = torch.zeros_like(outputs, requires_grad=True)
    pulled = torch.autograd.grad(outputs, parameters, handle, create_graph=True, allow_unused=True)
    pairs = [(part, p) for part, p in zip(pulled, parameters, strict=True) if part is not None]
    u = torch.randn(outputs.shape, generator=generator, device=generator.device).to(outputs)
    largest = 0.0
    for _ in range(power_iterations):
        tick()
        u = u / u.norm()
        pullback = list(torch.autograd.grad(outputs, [p for _, p in pairs], u, retain_graph=True))
        largest = max(largest, _square(pullback) ** 0.5)
        if largest == 0.0:
            return 0.0
        (u,) = torch.autograd.grad([part for part, _ in pairs], handle, pullback, retain_graph=True)
    return largest
