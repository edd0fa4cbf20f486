"""REINFORCE leave-one-out."""

from dataclasses import replace

import pytest
import torch
from sizes import credited, totals

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.rloo import RLOO

GROUPS = torch.tensor([0, 0, 0, 1, 1])


@pytest.fixture
def rloo() -> RLOO:
    kl = AdaptiveKL(initial=0.1, target=None, rate=0.0, unit="response")
    return RLOO(entropy_coef=0.0, whiten_advantages="none", kl=kl)


def test_a_response_earns_what_it_scores_above_the_mean_of_the_others(rloo, mask_of, make_experience):
    rows = make_experience(mask=mask_of(2, 1, 2, 1, 1, width=2), scores=[6.0, 3.0, 0.0, 1.0, 5.0])
    advantages = credited(rloo, replace(rows, unit=GROUPS))["advantages"]
    torch.testing.assert_close(advantages[:, 0], torch.tensor([6 - 1.5, 3 - 3.0, 0 - 4.5, 1 - 5.0, 5 - 1.0]))
    assert advantages[1, 1] == advantages[3, 1] == 0.0  # pads


def test_the_penalty_of_all_tokens_counts_as_one_reward(rloo, mask_of, make_experience):
    """KL of 3 in the first response and of 0 in the second, beta 1: rewards of 5 and 2."""
    old = torch.tensor([[1.0, 2.0, 9.0], [0.0, 0.0, 0.0]])
    rows = make_experience(mask=mask_of(2, 3, width=3), scores=[8.0, 2.0], old_logprobs=old, ref_logprobs=0.0)
    advantages = credited(rloo, replace(rows, unit=torch.tensor([4, 4])), 1.0)["advantages"]
    torch.testing.assert_close(advantages, torch.tensor([[3.0, 3.0, 0.0], [-3.0, -3.0, -3.0]]))


@pytest.mark.parametrize("score", [0.0, 0.1, 10.7])
@pytest.mark.parametrize("rounding", [False, True])
def test_equal_rewards_give_an_advantage_of_exactly_zero(rloo, mask_of, make_experience, score, rounding):
    scores = torch.full((8,), score)
    if rounding:  # in the last digit: no signal either
        scores[3] = scores[3].nextafter(torch.tensor(100.0))
    rows = make_experience(mask=mask_of(*[1] * 8, width=1), scores=scores)
    assert (credited(rloo, replace(rows, unit=torch.zeros(8, dtype=torch.long)))["advantages"] == 0).all()


def test_its_gradient_is_a_mean_over_responses_of_whole_sequences(rloo, randn, mask_of, make_experience, make_forward):
    mask, advantages = mask_of(3, 1, width=3), randn(2, 1).expand(2, 3)
    logprobs = randn(2, 3, seed=1).requires_grad_()
    batch = make_experience(mask=mask, advantages=advantages)
    out = rloo.loss(make_forward(logprobs, values=None), batch, replace(totals(4), rows=2))
    (gradient,) = torch.autograd.grad(out.loss, logprobs)
    torch.testing.assert_close(gradient, torch.where(mask, -advantages / 2, 0.0))  # a long response weighs more
