"""The expected gradient of one input, and how large the reward std allows it to be, exactly.

A policy with logits f(x; theta) has grad V = J^T p (r - V) with J = df / dtheta. For outputs of at most L tokens and
rewards in [-1, 1] (Razin et al. 2024, theorem 1, and Cauchy-Schwarz without its case split):

    ||grad V|| <= 6 L gamma STD^(2/3)    and    ||grad V|| <= sqrt(2) L gamma STD,

where gamma is the largest operator norm of J over all prefixes of outputs. With one token there is one prefix. The
second is then off by a factor of 2 at least: ||p (r - V)|| <= STD / sqrt(2), with equality where two labels have
probability 1/2 each and rewards that differ.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class GradientBound:
    """Exact reward moments and gradient norms of n inputs, with the two bounds; rewards in raw units."""

    reward_mean: Float[np.ndarray, " n"]
    reward_std: Float[np.ndarray, " n"]  # over the outputs of the policy, not a sample of them
    grad_norm: Float[np.ndarray, " n"]  # of the expected reward of that input alone, in all parameters
    jacobian_norm: Float[np.ndarray, " n"]  # gamma, the operator norm of d logits / d parameters
    bound_std: Float[np.ndarray, " n"]
    bound_two_thirds: Float[np.ndarray, " n"]


def std_bounds(
    reward_std: Float[np.ndarray, " n"],
    jacobian_norm: Float[np.ndarray, " n"],
    reward_range: tuple[float, float],
    length: int,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Compute the bounds on the gradient norm by STD and by STD^(2/3), for outputs of at most `length` tokens.

    Rewards r = c + s r' with r' in [-1, 1] have ||grad V|| = s ||grad V'|| and STD = s STD'. The first bound therefore
    holds for every interval as it is; the second becomes 6 L gamma s^(1/3) STD^(2/3), s half the width of the interval.
    """
    half_width = (reward_range[1] - reward_range[0]) / 2
    by_std = sqrt(2) * length * jacobian_norm * reward_std
    return by_std, 6 * length * jacobian_norm * np.cbrt(half_width * reward_std**2)


def reward_moments(
    logits: Float[Tensor, "n k"], rewards: Float[Tensor, "n k"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, "n k"]]:
    """Compute V, STD and dV / dlogits = p (r - V) of softmax policies, in double precision.

    Rewards are measured from that of the most likely label, so that r - V does not cancel when a policy is almost
    deterministic.
    """
    probs, rewards = logits.detach().double().softmax(-1), rewards.double()
    likeliest = rewards.gather(1, probs.argmax(-1, keepdim=True))
    shifted = rewards - likeliest
    shifted_mean = (probs * shifted).sum(-1, keepdim=True)
    centred = shifted - shifted_mean
    std = (probs * centred.square()).sum(-1).sqrt()
    return (likeliest + shifted_mean).squeeze(-1), std, probs * centred


def softmax_bound(
    logits: Float[Tensor, "n k"], rewards: Float[Tensor, "n k"], reward_range: tuple[float, float]
) -> GradientBound:
    """Measure one-token softmax policies whose parameters are the logits themselves, so that gamma = 1.

    Raises:
        ValueError: a reward outside `reward_range`.
    """
    mean, std, gradient = reward_moments(logits, rewards)
    return _bound(mean, std, gradient.norm(dim=-1), torch.ones_like(std), rewards, reward_range)


def gradient_bound(
    network: nn.Module,
    inputs: Shaped[Tensor, "n ..."],
    rewards: Float[Tensor, "n k"],
    reward_range: tuple[float, float],
) -> GradientBound:
    """Measure the expected gradient of each input of a classifier, whose logits are `network(inputs)`, exactly.

    The Jacobian of one input at a time is held: K copies of the parameters that train. The network must be in
    evaluation mode, in which the output of an input depends on no other.

    Raises:
        ValueError: a network in training mode, or a reward outside `reward_range`.
    """
    if network.training:
        raise ValueError("the network is in training mode; call .eval() first")
    parameters = [p for p in network.parameters() if p.requires_grad]
    columns: list[tuple[Tensor, ...]] = []
    for x, r in zip(inputs, rewards, strict=True):
        with torch.enable_grad():
            logits = network(x.unsqueeze(0))
        mean, std, gradient = reward_moments(logits, r.unsqueeze(0))
        columns.append((mean[0], std[0], *_parameter_norms(logits[0], gradient[0], parameters)))
    mean, std, grad_norm, jacobian_norm = (torch.stack(column) for column in zip(*columns, strict=True))
    return _bound(mean, std, grad_norm, jacobian_norm, rewards, reward_range)


def _parameter_norms(
    logits: Float[Tensor, " k"], gradient: Float[Tensor, " k"], parameters: list[nn.Parameter]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Compute ||J^T gradient|| and the operator norm of J, the latter from the K x K matrix J J^T."""
    basis = torch.eye(len(logits), dtype=logits.dtype, device=logits.device)
    jacobian = torch.autograd.grad(logits, parameters, basis, is_grads_batched=True, allow_unused=True)
    size = gradient.norm()
    unit = (gradient / size.clamp_min(torch.finfo(size.dtype).tiny)).to(
        logits.dtype
    )  # single precision would underflow
    gram, square = torch.zeros_like(basis, dtype=torch.float64), torch.zeros_like(size)
    for part in jacobian:
        if part is not None:
            rows = part.flatten(1)
            gram += (rows @ rows.T).double()
            square += (unit @ rows).double().square().sum()
    return size * square.sqrt(), torch.linalg.eigvalsh(gram)[-1].clamp_min(0.0).sqrt()


def _bound(
    mean: Float[Tensor, " n"],
    std: Float[Tensor, " n"],
    grad_norm: Float[Tensor, " n"],
    jacobian_norm: Float[Tensor, " n"],
    rewards: Float[Tensor, "n k"],
    reward_range: tuple[float, float],
) -> GradientBound:
    low, high = reward_range
    if rewards.min() < low or rewards.max() > high:
        raise ValueError(
            f"rewards from {rewards.min():g} to {rewards.max():g}; expected all within [{low:g}, {high:g}]"
        )
    stds, norms = std.cpu().numpy(), jacobian_norm.cpu().numpy()
    by_std, by_two_thirds = std_bounds(stds, norms, reward_range, 1)
    return GradientBound(
        reward_mean=mean.cpu().numpy(),
        reward_std=stds,
        grad_norm=grad_norm.cpu().numpy(),
        jacobian_norm=norms,
        bound_std=by_std,
        bound_two_thirds=by_two_thirds,
    )
