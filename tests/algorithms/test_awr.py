"""Advantage-weighted regression."""

import math
from dataclasses import replace

import pytest
import torch
from sizes import credited, totals

from rftlab.algorithms.awr import AWR
from rftlab.loops.update import joined
from rftlab.ranks import Ranks


@pytest.fixture
def awr() -> AWR:
    return AWR(
        lam=0.5,
        weight_clip=None,
        value_coef=1.0,
        entropy_coef=0.0,
        gamma=1.0,
        gae_lambda=0.95,
        whiten_advantages="rollout",
    )


def logged(out):
    return joined([out], torch.tensor(0.0), Ranks())


def test_loss_matches_a_case_done_by_hand(awr, mask_of, make_experience, make_forward):
    # lambda = 1/2, A = (log 2) / 2 and -(log 4) / 2: weights 2 and 1/4.
    # -(2 * -1 + 1/4 * -4) / 2 = 1.5.  Values 3 and 0 against returns 1 and 1: (2^2 + 1^2) / 4 = 1.25.
    batch = make_experience(
        mask=mask_of(2, width=3),
        advantages=torch.tensor([[math.log(2) / 2, -math.log(4) / 2, 700.0]]),
        returns=1.0,
    )
    new = make_forward(torch.tensor([[-1.0, -4.0, -5.0]]), values=torch.tensor([[3.0, 0.0, 9.0]]))
    out = awr.loss(new, batch, totals(2))
    assert out.loss.item() == pytest.approx(2.75)
    expected = {
        "policy/loss": 1.5,
        "value/loss": 1.25,
        "policy/weight": 1.125,
        "policy/weight_max": 2.0,
        "policy/advantage_over_lambda_max": math.log(4),
        "policy/weight_ess": (2 + 1 / 4) ** 2 / (2 * (2**2 + 1 / 4**2)),
    }
    found = logged(out)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_zero_advantages_give_the_gradient_of_the_likelihood(awr, randn, mask_of, make_experience, make_forward):
    mask, logprobs = mask_of(3, 2, width=3), randn(2, 3).requires_grad_()
    out = awr.loss(make_forward(logprobs), make_experience(mask=mask), totals(5))
    nll = -logprobs[mask].sum() / 5
    torch.testing.assert_close(*(torch.autograd.grad(loss, logprobs)[0] for loss in (out.loss, nll)))
    assert logged(out)["policy/weight_ess"] == 1.0


@pytest.mark.parametrize("clip", [None, 20.0])
def test_an_advantage_of_fifty_at_a_lambda_of_a_tenth_overflows_nothing(
    awr, clip, mask_of, make_experience, make_forward
):
    batch = make_experience(mask=mask_of(2, width=2), advantages=torch.tensor([[50.0, -50.0]]))
    logprobs = torch.full((1, 2), -1.0, requires_grad=True)
    out = replace(awr, lam=0.1, weight_clip=clip).loss(make_forward(logprobs), batch, totals(2))
    found = logged(out)
    assert all(map(math.isfinite, found.values()))
    assert torch.autograd.grad(out.loss, logprobs)[0].isfinite().all()
    assert found["policy/weight_ess"] == pytest.approx(0.5)  # one of two tokens has all the weight
    assert found["policy/advantage_over_lambda_max"] == pytest.approx(500.0)  # uncut: one sees what was cut
    assert clip is None or found["policy/weight_max"] == clip


def test_weights_are_clipped_from_above_and_never_from_below(awr, mask_of, make_experience, make_forward):
    advantages = torch.tensor([[-5.0, 0.0, 0.3, 5.0]])
    logprobs = torch.full((1, 4), -1.0, requires_grad=True)
    batch = make_experience(mask=mask_of(4, width=4), advantages=advantages)
    loss = replace(awr, weight_clip=3.0).loss(make_forward(logprobs), batch, totals(4)).loss
    expected = torch.tensor([[math.exp(-10), 1.0, math.exp(0.6), 3.0]])
    torch.testing.assert_close(-4 * torch.autograd.grad(loss, logprobs)[0], expected)


def test_an_infinite_lambda_is_maximum_likelihood(awr, randn, mask_of, make_experience, make_forward):
    logprobs, mask = randn(2, 4).requires_grad_(), mask_of(4, 2, width=4)
    batch = make_experience(mask=mask, advantages=randn(2, 4, seed=2))
    loss = replace(awr, lam=math.inf).loss(make_forward(logprobs), batch, totals(6)).loss
    torch.testing.assert_close(torch.autograd.grad(loss, logprobs)[0], -mask.float() / 6)


def test_tabular_policy_converges_to_the_tilted_policy_that_sampled(awr, randn, mask_of, make_experience, make_forward):
    """On samples from pi_old: pi proportional to pi_old exp(A / lambda)."""
    probabilities, advantages = torch.tensor([1 / 8, 3 / 8, 4 / 8]), torch.tensor([0.3, -0.4, 0.2])
    ids = torch.tensor([0] + [1] * 3 + [2] * 4)  # each token as often as pi_old samples it
    batch = make_experience(mask=mask_of(*[1] * 8, width=1), advantages=advantages[ids, None])
    logits = torch.zeros(3, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(400):
        loss = awr.loss(make_forward(logits.log_softmax(0)[ids, None]), batch, totals(8)).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    tilted = probabilities * (advantages / awr.lam).exp()
    torch.testing.assert_close(logits.softmax(0).detach(), tilted / tilted.sum(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("whiten", ["rollout", "none"])
def test_the_weights_know_the_unit_of_the_score_only_without_whitening(
    awr, whiten, randn, mask_of, make_experience, make_forward
):
    mask, algorithm = mask_of(*[4] * 8, width=4), replace(awr, whiten_advantages=whiten)
    small, large = (
        make_experience(mask=mask, scores=unit * randn(8), values=unit * randn(8, 4, seed=1)) for unit in (1.0, 10.0)
    )
    losses = [algorithm.loss(make_forward(randn(8, 4)), credited(algorithm, x), totals(32)) for x in (small, large)]
    same = torch.isclose(*(out.metrics["policy/loss"] for out in losses), rtol=1e-3)
    assert bool(same) == (whiten == "rollout")


def test_reward_is_the_score_alone(awr, mask_of, make_experience):
    rollout = make_experience(mask=mask_of(3, 1, width=3), scores=[1.0, -2.0], ref_logprobs=-9.0)
    assert credited(awr, rollout, 10.0)["rewards"].tolist() == [[0.0, 0.0, 1.0], [-2.0, 0.0, 0.0]]


def test_neither_a_reference_nor_the_policy_that_sampled_is_asked_for(awr):
    assert awr.kl is None and awr.needs.value
    assert not (awr.needs.reference or awr.needs.old_logprobs or awr.needs.lagged_every)


def test_a_constant_score_that_the_values_know_gives_every_token_the_weight_one(
    awr, mask_of, make_experience, make_forward, randn
):
    """Whitening makes no signal of nothing: the step is one of maximum likelihood on the samples, zero on average."""
    rollout = make_experience(mask=mask_of(3, 1, width=3), scores=[1.0, 1.0], values=1.0)
    out = awr.loss(make_forward(randn(2, 3)), credited(awr, rollout), totals(4))
    assert out.maxima["policy/weight_max"] == out.metrics["policy/weight"] == 1.0
