"""What several algorithms share before their losses: the networks that they need, and from rewards to advantages."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rftlab.ops import MIN_STD, gae, row_sum
from rftlab.types import Experience, KLControl, Needs


def needs_of_values(entropy_coef: float) -> Needs:
    """Say what a loss with values reads that compares the policy with the one that sampled and with the reference."""
    return Needs(reference=True, value=True, old_logprobs=True, entropy="trained" if entropy_coef else "logged")


def needs_of_penalty(kl: KLControl, entropy_coef: float) -> Needs:
    """Say what a loss without values reads: reference and old policy for a KL penalty, the entropy for a bonus."""
    penalty = kl.initial > 0
    return Needs(reference=penalty, old_logprobs=penalty, entropy="trained" if entropy_coef else "none")


def credit_by_values(experience: Experience, gamma: float, gae_lambda: float) -> Experience:
    """Add GAE `advantages` (Schulman et al. 2016, eq. 16) and `returns` = advantages + values, (n t), raw units."""
    mask, values = experience.response_mask, experience["values"]
    advantages = gae(experience["rewards"], values, mask, gamma, gae_lambda)
    return experience.with_(advantages=advantages, returns=(advantages + values).where(mask, 0.0))


def credit_by_reward_to_go(experience: Experience, gamma: float) -> Experience:
    """Add `advantages` A_t = sum over s >= t of gamma^(s - t) r_s (n t), without a baseline (Williams 1992)."""
    rewards = experience["rewards"]
    nothing = torch.zeros_like(rewards)
    return experience.with_(advantages=gae(rewards, nothing, experience.response_mask, gamma, lam=1.0))


def credit_by_group(
    experience: Experience, *, baseline: Literal["mean", "others"], scale: Literal["std", "none"]
) -> Experience:
    """Add `advantages` (n t), the same for all tokens of a response: what it earns beside its group.

    R is the sum of a response's token rewards. The baseline is the mean of the group, or that of the others in it;
    `std` divides by the population std of the group. A group without spread (std below `MIN_STD`) has advantages of
    exactly 0, and so has a group of one.
    """
    mask = experience.response_mask
    earned = row_sum(experience["rewards"], mask).double()
    _, group, sizes = experience.unit.unique(return_inverse=True, return_counts=True)
    above = earned - _mean_of(earned, group, sizes)[group]  # first of all: equal rewards leave rounding at most
    std = _mean_of(above.square(), group, sizes).sqrt()[group]
    n = sizes[group].double()
    if baseline == "others":  # R_i - (sum - R_i) / (n - 1) = (R_i - mean) n / (n - 1)
        above = above * n / (n - 1).clamp(min=1)
    if scale == "std":
        above = above / std.clamp(min=MIN_STD)
    above = above.where(std > MIN_STD, 0.0).to(experience["rewards"].dtype)
    return experience.with_(advantages=above.unsqueeze(1).where(mask, 0.0))


def _mean_of(x: Float[Tensor, " n"], group: Tensor, sizes: Tensor) -> Float[Tensor, " b"]:
    return x.new_zeros(len(sizes)).index_add(0, group, x) / sizes
