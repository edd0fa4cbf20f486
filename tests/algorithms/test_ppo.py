"""Proximal policy optimisation."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from sizes import credited, totals

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.ppo import PPO


@pytest.fixture
def ppo() -> PPO:
    return PPO(
        clip_range=0.2,
        value_clip_range=0.2,
        value_coef=0.5,
        entropy_coef=0.0,
        entropy="exact",
        kl_coef=0.0,
        gamma=1.0,
        gae_lambda=0.95,
        whiten_advantages="rollout",
        kl=AdaptiveKL(initial=0.05, target=6.0, rate=0.1, unit="response"),
    )


def policy_gradient(ppo: PPO, make_forward: Callable, logprobs: torch.Tensor, batch) -> torch.Tensor:
    logprobs = logprobs.clone().requires_grad_()
    out = ppo.loss(make_forward(logprobs), batch, totals(int(batch.response_mask.sum())))
    return torch.autograd.grad(out.loss, logprobs)[0]


# --- reward -------------------------------------------------------------------------------------------------------


def test_rewards_of_a_row_sum_to_score_minus_beta_times_its_sequence_kl(ppo, randn, mask_of, make_experience):
    mask, old, ref = mask_of(4, 1, 2, width=4), randn(3, 4), randn(3, 4, seed=1)
    rollout = make_experience(mask=mask, scores=[1.0, -2.0, 0.5], old_logprobs=old, ref_logprobs=ref)
    kl = torch.where(mask, old - ref, 0.0).sum(1)
    torch.testing.assert_close(credited(ppo, rollout, 0.3)["rewards"].sum(1), rollout.scores - 0.3 * kl)


def test_penalty_falls_on_each_token_by_its_own_log_ratio(ppo, mask_of, make_experience):
    rollout = make_experience(
        mask=mask_of(2, width=3),
        scores=[5.0],
        old_logprobs=torch.tensor([[-1.0, -2.0, -9.0]]),
        ref_logprobs=torch.tensor([[-2.0, -1.0, -1.0]]),
    )
    torch.testing.assert_close(credited(ppo, rollout, 0.1)["rewards"], torch.tensor([[-0.1, 5.1, 0.0]]))


def test_a_policy_that_has_not_moved_pays_no_penalty(ppo, randn, mask_of, make_experience):
    logprobs, mask = randn(2, 3), mask_of(3, 2, width=3)
    rollout = make_experience(mask=mask, scores=[1.0, 2.0], old_logprobs=logprobs, ref_logprobs=logprobs)
    assert credited(ppo, rollout, 10.0)["rewards"].sum(1).tolist() == [1.0, 2.0]


# --- policy -------------------------------------------------------------------------------------------------------


def test_gradient_at_ratio_one_is_the_policy_gradient(ppo, randn, mask_of, make_experience, make_forward):
    mask, advantages = mask_of(4, 1, 2, width=4), randn(3, 4, seed=1)
    logits, ids = randn(3, 4, 9).requires_grad_(), torch.arange(12).reshape(3, 4) % 9
    logprobs = logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    batch = make_experience(mask=mask, advantages=advantages, old_logprobs=logprobs.detach())
    (gradient,) = torch.autograd.grad(
        ppo.loss(make_forward(logprobs), batch, totals(7)).loss, logits, retain_graph=True
    )
    reinforce = -(advantages * logprobs)[mask].mean()
    torch.testing.assert_close(gradient, torch.autograd.grad(reinforce, logits)[0])


def test_clipping_gates_the_gradient_by_the_sign_of_the_advantage(ppo, mask_of, make_experience, make_forward):
    old = torch.zeros(1, 4) - 2.0
    new = old + torch.log(torch.tensor([[1.5, 0.5, 1.5, 0.5]]))
    batch = make_experience(
        mask=mask_of(4, width=4), old_logprobs=old, advantages=torch.tensor([[1.0, -1.0, -1.0, 1.0]])
    )
    gradient = policy_gradient(ppo, make_forward, new, batch)
    torch.testing.assert_close(gradient, torch.tensor([[0.0, 0.0, 1.5 / 4, -0.5 / 4]]))
    assert ppo.loss(make_forward(new), batch, totals(4)).metrics["policy/clip_frac"].item() == 0.5


def test_an_infinite_clip_range_is_the_importance_weighted_objective(
    ppo, randn, mask_of, make_experience, make_forward
):
    new, old, advantages, mask = randn(2, 3), randn(2, 3, seed=1), randn(2, 3, seed=2), mask_of(3, 2, width=3)
    batch = make_experience(mask=mask, old_logprobs=old, advantages=advantages)
    out = replace(ppo, clip_range=math.inf).loss(make_forward(new), batch, totals(5))
    torch.testing.assert_close(out.loss, -(advantages * (new - old).exp())[mask].mean())


def test_zero_advantages_give_no_policy_gradient(ppo, randn, mask_of, make_experience, make_forward):
    batch = make_experience(mask=mask_of(3, 3, width=3), advantages=0.0)
    assert (policy_gradient(ppo, make_forward, randn(2, 3), batch) == 0).all()


def test_a_constant_score_that_the_values_know_gives_no_policy_update(ppo, randn, mask_of, make_experience):
    mask = mask_of(5, 2, 4, width=5)
    rollout = make_experience(mask=mask, scores=[0.7] * 3, values=0.7)
    advantages = credited(ppo, rollout)["advantages"]
    assert (advantages == 0).all()


@pytest.mark.parametrize("baseline", [0.0, 0.3])
def test_a_constant_score_without_discounts_gives_no_policy_update_for_any_constant_baseline(
    ppo, baseline, mask_of, make_experience
):
    rollout = make_experience(mask=mask_of(5, 2, 4, width=5), scores=[0.7] * 3, values=baseline)
    undiscounted = replace(ppo, gae_lambda=1.0)
    advantages = credited(undiscounted, rollout)["advantages"]
    assert (advantages == 0).all()


def test_a_constant_score_without_a_baseline_gives_no_policy_update_in_expectation(
    ppo, mask_of, make_experience, make_forward
):
    """Single samples do move the policy then; over a batch that holds each token as often as pi samples it, nothing."""
    logits = torch.log(torch.tensor([1 / 8, 3 / 8, 4 / 8])).requires_grad_()
    ids = torch.tensor([0] + [1] * 3 + [2] * 4)
    logprobs = logits.log_softmax(0)[ids, None]
    batch = make_experience(mask=mask_of(*[1] * 8, width=1), advantages=0.7, old_logprobs=logprobs.detach())
    (gradient,) = torch.autograd.grad(ppo.loss(make_forward(logprobs), batch, totals(8)).loss, logits)
    torch.testing.assert_close(gradient, torch.zeros(3), atol=1e-7, rtol=0)


def test_an_enormous_ratio_leaves_loss_and_gradient_finite(ppo, mask_of, make_experience, make_forward):
    batch = make_experience(mask=mask_of(2, width=2), old_logprobs=-300.0, advantages=torch.tensor([[-1.0, 1.0]]))
    new = torch.full((1, 2), -0.1)
    assert ppo.loss(make_forward(new), batch, totals(2)).loss.isfinite()
    assert policy_gradient(ppo, make_forward, new, batch).isfinite().all()


def test_distance_to_the_old_policy_is_zero_before_the_first_step_and_positive_after(
    ppo, randn, mask_of, make_experience, make_forward
):
    old, mask = randn(2, 3), mask_of(3, 2, width=3)
    batch = make_experience(mask=mask, old_logprobs=old)
    measured = [
        ppo.loss(make_forward(old + move), batch, totals(5)).metrics["policy/approx_kl_old"].item()
        for move in (0.0, 0.1, -0.1)
    ]
    assert measured[0] == 0.0 and min(measured[1:]) > 0.0


# --- value --------------------------------------------------------------------------------------------------------


def value_gradient(ppo: PPO, make_forward: Callable, value: float, batch) -> float:
    values = torch.tensor([[value]], requires_grad=True)
    out = ppo.loss(make_forward(torch.full((1, 1), -1.0), values=values), batch, totals(1))
    return torch.autograd.grad(out.loss, values)[0].item()


def test_value_clip_holds_a_value_that_has_moved_far_towards_its_return(ppo, mask_of, make_experience, make_forward):
    batch = make_experience(mask=mask_of(1, width=1), values=1.0, returns=2.0)
    assert value_gradient(ppo, make_forward, 1.5, batch) == 0.0
    assert value_gradient(ppo, make_forward, 1.1, batch) == pytest.approx(0.5 * (1.1 - 2.0))
    assert value_gradient(ppo, make_forward, 0.5, batch) == pytest.approx(0.5 * (0.5 - 2.0))


def test_without_a_value_clip_the_value_follows_its_return(ppo, mask_of, make_experience, make_forward):
    batch = make_experience(mask=mask_of(1, width=1), values=1.0, returns=2.0)
    unclipped = replace(ppo, value_clip_range=None)
    assert value_gradient(unclipped, make_forward, 1.5, batch) == pytest.approx(0.5 * (1.5 - 2.0))
    out = unclipped.loss(make_forward(torch.full((1, 1), -1.0), values=1.5), batch, totals(1))
    assert out.metrics["value/clip_frac"].item() == 0.0


def test_value_clip_frac_counts_held_values(ppo, mask_of, make_experience, make_forward):
    batch = make_experience(mask=mask_of(4, width=4), values=1.0, returns=2.0)
    values = torch.tensor([[1.5, 1.1, 0.5, 1.3]])
    out = ppo.loss(make_forward(torch.full((1, 4), -1.0), values=values), batch, totals(4))
    assert out.metrics["value/clip_frac"].item() == 0.5


# --- other forms --------------------------------------------------------------------------------------------------


def test_without_a_clip_range_every_ratio_has_its_gradient(ppo, mask_of, make_experience, make_forward):
    old = torch.zeros(1, 2) - 2.0
    new = old + torch.log(torch.tensor([[1.5, 0.5]]))
    batch = make_experience(mask=mask_of(2, width=2), old_logprobs=old, advantages=torch.tensor([[1.0, -1.0]]))
    unclipped = replace(ppo, clip_range=None)
    torch.testing.assert_close(
        policy_gradient(unclipped, make_forward, new, batch), torch.tensor([[-1.5 / 2, 0.5 / 2]])
    )
    out = unclipped.loss(make_forward(new), batch, totals(2))
    assert out.metrics["policy/clip_frac"].item() == 0.0
    assert out.metrics["policy/loss"].item() == pytest.approx((-1.5 + 0.5) / 2)


def test_kl_in_the_loss_is_k3_to_the_start(ppo, mask_of, make_experience, make_forward):
    """k3 = exp(-x) - 1 + x with x = log pi - log pi_0: log 2 + 1/2 - 1 at twice the probability; slope 1 - exp(-x)."""
    new = torch.log(torch.tensor([[0.4, 0.2, 0.9]]))
    ref = torch.log(torch.tensor([[0.2, 0.2, 0.1]]))
    batch = make_experience(mask=mask_of(2, width=3), old_logprobs=new, ref_logprobs=ref)
    out = replace(ppo, kl_coef=0.3).loss(make_forward(new), batch, totals(2))
    assert out.metrics["policy/kl_loss"].item() == pytest.approx((math.log(2) - 0.5) / 2)
    assert out.loss.item() == pytest.approx(0.3 * (math.log(2) - 0.5) / 2)
    gradient = policy_gradient(replace(ppo, kl_coef=0.3), make_forward, new, batch)
    torch.testing.assert_close(gradient, torch.tensor([[0.3 * 0.5 / 2, 0.0, 0.0]]))
    assert "policy/kl_loss" not in ppo.loss(make_forward(new), batch, totals(2)).metrics


def test_kl_in_the_loss_takes_nothing_from_the_reward(ppo, randn, mask_of, make_experience):
    rollout = make_experience(mask=mask_of(3, 2, width=3), scores=[1.0, 2.0], old_logprobs=randn(2, 3))
    one, other = credited(ppo, rollout, 0.3), credited(replace(ppo, kl_coef=5.0), rollout, 0.3)
    assert all(torch.equal(one[name], other[name]) for name in one.columns)


def test_a_sampled_entropy_is_minus_the_log_probability_of_the_token(ppo, mask_of, make_experience, make_forward):
    new = torch.tensor([[-1.0, -3.0, -9.0]])
    batch = make_experience(mask=mask_of(2, width=3), old_logprobs=new)
    sampled = replace(ppo, entropy="sampled", entropy_coef=0.5)
    assert sampled.loss(make_forward(new, entropy=7.0), batch, totals(2)).loss.item() == pytest.approx(-0.5 * 2.0)
    exact = replace(sampled, entropy="exact")
    assert exact.loss(make_forward(new, entropy=7.0), batch, totals(2)).loss.item() == pytest.approx(-0.5 * 7.0)
    assert (sampled.needs.entropy, exact.needs.entropy) == ("logged", "trained")
    torch.testing.assert_close(policy_gradient(sampled, make_forward, new, batch), torch.tensor([[0.25, 0.25, 0.0]]))


def test_a_sampled_entropy_has_no_gradient_on_average_on_fresh_samples(ppo, mask_of, make_experience, make_forward):
    """Over a batch that holds each token as often as pi samples it; the exact entropy has one."""
    logits = torch.log(torch.tensor([1 / 8, 3 / 8, 4 / 8])).requires_grad_()
    ids = torch.tensor([0] + [1] * 3 + [2] * 4)
    logprobs = logits.log_softmax(0)[ids, None]
    batch = make_experience(mask=mask_of(*[1] * 8, width=1), advantages=0.0, old_logprobs=logprobs.detach())
    sampled = replace(ppo, entropy="sampled", entropy_coef=0.5)
    (gradient,) = torch.autograd.grad(sampled.loss(make_forward(logprobs), batch, totals(8)).loss, logits)
    torch.testing.assert_close(gradient, torch.zeros(3), atol=1e-7, rtol=0)


@pytest.mark.parametrize("entropy", ["exact", "sampled"])
def test_the_entropy_that_is_logged_is_exact_whatever_the_bonus_is(
    ppo, mask_of, make_experience, make_forward, entropy
):
    batch, new = make_experience(mask=mask_of(2, 1, width=2)), torch.full((2, 2), -2.0)
    out = replace(ppo, entropy=entropy, entropy_coef=1.0).loss(make_forward(new, entropy=0.7), batch, totals(3))
    assert out.metrics["policy/entropy"].item() == pytest.approx(0.7)
