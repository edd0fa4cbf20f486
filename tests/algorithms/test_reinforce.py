"""REINFORCE on texts: each token is credited with the discounted rewards from it on."""

import pytest
import torch
from sizes import credited, totals

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.reinforce import TextReinforce


@pytest.fixture
def reinforce() -> TextReinforce:
    kl = AdaptiveKL(initial=0.1, target=None, rate=0.0, unit="response")
    return TextReinforce(gamma=0.5, entropy_coef=0.0, whiten_advantages="none", kl=kl)


def test_a_token_is_credited_with_the_discounted_rewards_from_it_on(reinforce, mask_of, make_experience):
    """Penalties of 1, 2 and 4 on the tokens and a score of 8 on the last: rewards -1, -2, 4."""
    experience = make_experience(
        mask=mask_of(3, width=4),
        scores=[8.0],
        old_logprobs=torch.tensor([[1.0, 2.0, 4.0, 9.0]]),
        ref_logprobs=0.0,
        values=7.0,
    )
    advantages = credited(reinforce, experience, 1.0)["advantages"]
    torch.testing.assert_close(advantages, torch.tensor([[-1.0 + 0.5 * (-2.0 + 0.5 * 4.0), 0.0, 4.0, 0.0]]))


def test_the_gradient_of_a_token_is_minus_its_advantage_per_token_of_the_step(
    reinforce, randn, mask_of, make_experience, make_forward
):
    mask, advantages = mask_of(3, 1, width=3), randn(2, 3)
    logprobs = randn(2, 3, seed=1).requires_grad_()
    out = reinforce.loss(
        make_forward(logprobs, values=None), make_experience(mask=mask, advantages=advantages), totals(4)
    )
    (gradient,) = torch.autograd.grad(out.loss, logprobs)
    torch.testing.assert_close(gradient, torch.where(mask, -advantages / 4, 0.0))
