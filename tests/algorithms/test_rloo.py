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


@pytest.mark.parametrize("scores", [[0.1] * 8, [0.0] * 8, [1e6] * 8])
def test_equal_rewards_give_an_advantage_of_exactly_zero(rloo, mask_of, make_experience, scores):
    rows = make_experience(mask=mask_of(*[1] * 8, width=1), scores=scores)
    assert (credited(rloo, replace(rows, unit=torch.zeros(8, dtype=torch.long)))["advantages"] == 0).all()


def test_its_gradient_is_a_mean_over_responses_of_whole_sequences(rloo, randn, mask_of, make_experience, make_forward):
    mask, advantages = mask_of(3, 1, width=3), randn(2, 1).expand(2, 3)
    logprobs = randn(2, 3, seed=1).requires_grad_()
    batch = make_experience(mask=mask, advantages=advantages)
    out = rloo.loss(make_forward(logprobs, values=None), batch, replace(totals(4), rows=2))
    (gradient,) = torch.autograd.grad(out.loss, logprobs)
    torch.testing.assert_close(gradient, torch.where(mask, -advantages / 2, 0.0))  # a long response weighs more


def test_the_mean_gradient_is_that_of_the_expected_reward(rloo, mask_of, make_experience, make_forward):
    """On a policy over 4 answers of one token: groups of 3, against the exact gradient, within 4 standard errors."""
    rewards = torch.tensor([0.0, 1.0, 0.2, 3.0])
    logits = torch.tensor([0.5, -0.3, 0.1, -1.0], requires_grad=True)
    n_groups, k = 20_000, 3
    picked = torch.multinomial(
        logits.detach().softmax(-1), n_groups * k, replacement=True, generator=torch.Generator().manual_seed(0)
    )
    mask = torch.ones(n_groups * k, 1, dtype=torch.bool)
    rows = make_experience(mask=mask, scores=rewards[picked])
    rows = credited(rloo, replace(rows, unit=torch.arange(n_groups).repeat_interleave(k)))
    (exact,) = torch.autograd.grad((logits.softmax(-1) * rewards).sum(), logits)
    score = torch.nn.functional.one_hot(picked, 4) - logits.detach().softmax(-1)  # gradient of log pi
    each = (rows["advantages"] * score).view(n_groups, k, 4).mean(1)
    error = each.std(0) / n_groups**0.5
    assert ((each.mean(0) - exact).abs() < 4 * error).all()
    new = make_forward(logits.log_softmax(-1)[picked].unsqueeze(1), values=None)
    (ours,) = torch.autograd.grad(rloo.loss(new, rows, replace(totals(n_groups * k))).loss, logits)
    torch.testing.assert_close(-ours, each.mean(0), rtol=1e-3, atol=1e-5)
