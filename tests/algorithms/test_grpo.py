"""Group relative policy optimisation: advantages of a group, three averages, two ratios, the penalty in the loss."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from sizes import credited, totals

from rftlab.algorithms.grpo import GRPO
from rftlab.ops import kl_k3

LENGTHS = (3, 1)


@pytest.fixture
def grpo() -> Callable[..., GRPO]:
    usual = {"clip_low": 0.2, "clip_high": 0.2, "scale": "std", "average": "token", "constant_length": 8}
    usual |= {"ratio": "token", "kl_coef": 0.0, "entropy_coef": 0.0, "whiten_advantages": "none"}
    return lambda **values: GRPO(**usual | values)


@pytest.mark.parametrize(("scale", "spread"), [("std", 2.0), ("none", 1.0)])
def test_advantages_are_those_of_the_group(grpo, mask_of, make_experience, scale, spread):
    """Scores 1, 1, 5, 5: mean 3, population std 2; the other group has no spread, and whatever it scores is 0."""
    rows = make_experience(mask=mask_of(*[1] * 6, width=1), scores=[1.0, 5.0, 1.0, 5.0, 10.7, 10.7])
    grouped = replace(rows, unit=torch.tensor([0, 0, 0, 0, 1, 1]))
    advantages = credited(grpo(scale=scale), grouped)["advantages"].squeeze(1)
    torch.testing.assert_close(advantages, torch.tensor([-2.0, 2.0, -2.0, 2.0, 0.0, 0.0]) / spread)
    assert (advantages[4:] == 0).all()


def gradient(algorithm: GRPO, batch, logprobs, make_forward, step) -> torch.Tensor:
    (found,) = torch.autograd.grad(algorithm.loss(make_forward(logprobs, values=None), batch, step).loss, logprobs)
    return found


@pytest.mark.parametrize(
    ("average", "weights"),
    [("row", [1 / 6, 1 / 2]), ("token", [1 / 4, 1 / 4]), ("constant", [1 / 16, 1 / 16])],
)
def test_at_ratio_one_it_is_the_policy_gradient_averaged_as_asked(
    grpo, randn, mask_of, make_experience, make_forward, average, weights
):
    """Two responses of 3 and 1 tokens; 8 tokens are the constant."""
    mask, advantages = mask_of(*LENGTHS, width=3), randn(2, 1).expand(2, 3)
    logprobs = randn(2, 3, seed=1).requires_grad_()
    batch = make_experience(mask=mask, advantages=advantages, old_logprobs=logprobs.detach())
    found = gradient(grpo(average=average), batch, logprobs, make_forward, replace(totals(4), rows=2))
    torch.testing.assert_close(found, torch.where(mask, -advantages * torch.tensor(weights).unsqueeze(1), 0.0))


def test_a_token_beyond_its_clip_range_in_the_direction_of_its_advantage_has_no_gradient(
    grpo, mask_of, make_experience, make_forward
):
    ratios = torch.tensor([[1.15, 1.25, 1.35, 0.75, 0.65]])
    for sign, moved in ((1.0, [True, True, False, True, True]), (-1.0, [True, True, True, True, False])):
        logprobs = ratios.log().requires_grad_()
        batch = make_experience(mask=mask_of(5, width=5), advantages=sign, old_logprobs=0.0)
        found = gradient(grpo(clip_low=0.3, clip_high=0.3), batch, logprobs, make_forward, totals(5))
        assert (found[0] != 0).tolist() == moved
    logprobs = ratios.log().requires_grad_()  # DAPO: more room above than below
    batch = make_experience(mask=mask_of(5, width=5), advantages=1.0, old_logprobs=0.0)
    found = gradient(grpo(clip_low=0.2, clip_high=0.28), batch, logprobs, make_forward, totals(5))
    assert (found[0] != 0).tolist() == [True, True, False, True, True]


@pytest.mark.parametrize("average", ["row", "token", "constant"])
def test_the_share_that_is_clipped_is_one_of_tokens(grpo, mask_of, make_experience, make_forward, average):
    """Of three tokens and one, the single one is clipped: 1/4 of the tokens, which is half of the responses."""
    logprobs = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    batch = make_experience(mask=mask_of(*LENGTHS, width=3), advantages=1.0, old_logprobs=0.0)
    out = grpo(average=average).loss(make_forward(logprobs, values=None), batch, replace(totals(4), rows=2))
    assert out.metrics["policy/clip_frac"].item() == 0.25


def test_the_ratio_of_a_sequence_is_the_geometric_mean_of_its_tokens(grpo, mask_of, make_experience, make_forward):
    """Ratios 2 and 1/2 cancel: no token is clipped, and each has the gradient of a half of the response's ratio."""
    logprobs = torch.tensor([[2.0, 0.5]]).log().requires_grad_()
    batch = make_experience(mask=mask_of(2, width=2), advantages=3.0, old_logprobs=0.0)
    out = grpo(ratio="sequence").loss(make_forward(logprobs, values=None), batch, totals(2))
    assert out.loss.item() == pytest.approx(-3.0) and out.metrics["policy/clip_frac"] == 0
    (found,) = torch.autograd.grad(out.loss, logprobs)
    torch.testing.assert_close(found, torch.full((1, 2), -1.5))
    assert (
        grpo(ratio="token").loss(make_forward(logprobs, values=None), batch, totals(2)).metrics["policy/clip_frac"] > 0
    )


def test_the_penalty_pulls_at_any_distance(grpo, mask_of, make_experience, make_forward):
    for distance in (0.1, 3.0, 20.0, 60.0):
        logprobs = torch.tensor([[-distance]]).requires_grad_()  # less likely than the reference has it
        batch = make_experience(mask=mask_of(1, width=1), old_logprobs=-distance, ref_logprobs=0.0)
        out = grpo(kl_coef=0.5).loss(make_forward(logprobs, values=None), batch, totals(1))
        torch.testing.assert_close(out.loss, 0.5 * kl_k3(logprobs, torch.zeros(1, 1)).sum())
        (found,) = torch.autograd.grad(out.loss, logprobs)
        assert found.item() < 0  # a step down makes the token likelier


def test_without_a_penalty_there_is_no_reference(grpo):
    assert not grpo().needs.reference and grpo(kl_coef=0.1).needs.reference
    assert not grpo().needs.value and grpo().needs.old_logprobs
