"""What several algorithms share before their losses: the networks that they need, and from rewards to advantages."""

import torch

from rftlab.ops import gae
from rftlab.types import Experience, Needs


def needs_of_values(entropy_coef: float) -> Needs:
    """Say what a loss with values reads that compares the policy with the one that sampled and with the reference."""
    return Needs(reference=True, value=True, old_logprobs=True, entropy="trained" if entropy_coef else "logged")


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
