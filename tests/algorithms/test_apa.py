"""Advantage-induced policy alignment."""

import math
from dataclasses import replace

import pytest
import torch
from sizes import credited, totals

from rftlab.algorithms.apa import APA


@pytest.fixture
def apa() -> APA:
    return APA(lam=0.5, value_coef=1.0, entropy_coef=0.0, gamma=1.0, gae_lambda=0.95, whiten_advantages="rollout")


def test_loss_matches_a_case_done_by_hand(apa, mask_of, make_experience, make_forward):
    # lambda = 1/2.  Token 1: log-ratio -1 - (-2) = 1, goal 1 / 0.5 = 2, (1 - 2)^2 = 1.
    # Token 2: log-ratio -1, goal -4, (-1 + 4)^2 = 9.
    # Values 3 and 0 against returns 1 and 1: (2^2 + 1^2) / 2 = 2.5.  Means over two tokens: 5 and 1.25.
    batch = make_experience(
        mask=mask_of(2, width=3),
        ref_logprobs=torch.tensor([[-2.0, -2.0, 0.0]]),
        advantages=torch.tensor([[1.0, -2.0, 7.0]]),
        returns=1.0,
    )
    new = make_forward(torch.tensor([[-1.0, -3.0, -5.0]]), values=torch.tensor([[3.0, 0.0, 9.0]]))
    out = apa.loss(new, batch, totals(2))
    assert out.loss.item() == pytest.approx(6.25)
    expected = {
        "policy/loss": 5.0,
        "value/loss": 1.25,
        "policy/log_ratio_abs": 1.0,
        "policy/log_ratio_target_abs": 3.0,
    }
    assert {name: out.metrics[name].item() for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("lam", [0.1, 2.0])
def test_first_step_follows_the_gradient_of_advantage_minus_lambda_kl(apa, lam, mask_of, make_experience, make_forward):
    """On samples from pi: -(2 / lambda) times the gradient of E[A] - lambda KL(pi || pi_init)."""
    probabilities, advantages = torch.tensor([1 / 8, 3 / 8, 4 / 8]), torch.tensor([0.3, -1.0, 2.0])
    ref = torch.tensor([0.2, 0.2, 0.6]).log()
    logits = probabilities.log().requires_grad_()
    ids = torch.tensor([0] + [1] * 3 + [2] * 4)  # each token as often as pi samples it: batch means are expectations
    batch = make_experience(
        mask=mask_of(*[1] * 8, width=1), advantages=advantages[ids, None], ref_logprobs=ref[ids, None]
    )
    loss = replace(apa, lam=lam).loss(make_forward(logits.log_softmax(0)[ids, None]), batch, totals(8)).loss
    pi = logits.log_softmax(0)
    objective = (pi.exp() * advantages).sum() - lam * (pi.exp() * (pi - ref)).sum()
    expected = -(2 / lam) * torch.autograd.grad(objective, logits)[0]
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], expected)


def test_start_with_zero_advantages_is_a_fixed_point(apa, randn, mask_of, make_experience, make_forward):
    ref = randn(2, 3)
    logprobs = ref.clone().requires_grad_()
    out = apa.loss(make_forward(logprobs), make_experience(mask=mask_of(3, 2, width=3), ref_logprobs=ref), totals(5))
    assert out.loss.item() == 0.0
    assert (torch.autograd.grad(out.loss, logprobs)[0] == 0).all()


def test_tabular_policy_converges_to_the_tilted_start(apa, randn, mask_of, make_experience, make_forward):
    """Full coverage, fixed A: pi* = pi_init exp(A / lambda) / Z; A is shifted by -lambda log Z, so that Z(s) = 1."""
    ref, advantages = randn(3, 5, seed=1).log_softmax(1), randn(3, 5, seed=2)
    log_z = (ref + advantages / apa.lam).logsumexp(1, keepdim=True)
    advantages = advantages - apa.lam * log_z
    logits = torch.zeros(3, 5, requires_grad=True)
    batch = make_experience(
        mask=mask_of(*[1] * 15, width=1), advantages=advantages.reshape(15, 1), ref_logprobs=ref.reshape(15, 1)
    )
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(600):
        loss = apa.loss(make_forward(logits.log_softmax(1).reshape(15, 1)), batch, totals(15)).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    tilted = (ref.exp() * (advantages / apa.lam).exp()).detach()
    torch.testing.assert_close(tilted.sum(1), torch.ones(3))
    torch.testing.assert_close(logits.softmax(1).detach(), tilted, atol=1e-4, rtol=1e-3)
    assert loss.item() < 1e-6


def test_log_ratio_is_against_the_start_and_not_the_policy_that_sampled(
    apa, randn, mask_of, make_experience, make_forward
):
    mask, new = mask_of(3, 2, width=3), make_forward(randn(2, 3))
    a, b, c = (
        apa.loss(new, make_experience(mask=mask, advantages=1.0, old_logprobs=old, ref_logprobs=ref), totals(5)).loss
        for old, ref in ((-1.0, -1.0), (-7.0, -1.0), (-1.0, -7.0))
    )
    assert a == b != c


def test_an_infinite_lambda_pulls_back_to_the_start(apa, randn, mask_of, make_experience, make_forward):
    logprobs, ref = randn(1, 4).requires_grad_(), randn(1, 4, seed=1)
    batch = make_experience(mask=mask_of(4, width=4), advantages=randn(1, 4, seed=2), ref_logprobs=ref)
    loss = replace(apa, lam=math.inf).loss(make_forward(logprobs), batch, totals(4)).loss
    torch.testing.assert_close(torch.autograd.grad(loss, logprobs)[0], 2 * (logprobs - ref).detach() / 4)


@pytest.mark.parametrize("lam", [0.1, 1.0])
def test_whitened_advantages_ask_for_log_ratios_of_one_over_lambda(
    apa, lam, randn, mask_of, make_experience, make_forward
):
    """The loss at the start is the mean square of the goal: 1 / lambda^2, whatever the unit of the score."""
    mask = mask_of(*[4] * 32, width=4)
    rollout = make_experience(mask=mask, scores=1000.0 * randn(32), values=randn(32, 4, seed=1))
    advantages = credited(apa, rollout)["advantages"]
    batch = make_experience(mask=mask, advantages=advantages)
    loss = replace(apa, lam=lam).loss(make_forward(batch["ref_logprobs"]), batch, totals(128)).metrics["policy/loss"]
    assert loss.item() == pytest.approx(1 / lam**2, rel=1e-4)


def test_reward_is_the_score_alone(apa, randn, mask_of, make_experience):
    rollout = make_experience(
        mask=mask_of(3, 1, width=3), scores=[1.0, -2.0], old_logprobs=randn(2, 3), ref_logprobs=randn(2, 3, seed=1)
    )
    for kl_coef in (0.0, 10.0):
        assert credited(apa, rollout, kl_coef)["rewards"].tolist() == [[0.0, 0.0, 1.0], [-2.0, 0.0, 0.0]]


def test_there_is_no_penalty_to_control(apa):
    assert apa.kl is None


def test_value_loss_is_never_clipped(apa, mask_of, make_experience, make_forward):
    values = torch.tensor([[5.0]], requires_grad=True)
    batch = make_experience(mask=mask_of(1, width=1), values=0.0, returns=7.0)
    loss = (
        replace(apa, value_coef=0.2).loss(make_forward(torch.full((1, 1), -1.0), values=values), batch, totals(1)).loss
    )
    assert torch.autograd.grad(loss, values)[0].item() == pytest.approx(0.2 * (5.0 - 7.0))
