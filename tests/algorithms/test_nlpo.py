"""NLPO: the objective of PPO, under a mask."""

from dataclasses import fields, replace

import pytest
import torch
from cases import found, gradients
from sizes import credited, totals

from rftlab.algorithms.nlpo import NLPO
from rftlab.algorithms.ppo import PPO
from rftlab.types import Nucleus

FOUND = found()


@pytest.fixture
def nlpo() -> NLPO:
    algorithm = FOUND["nlpo"]
    assert isinstance(algorithm, NLPO)
    return replace(algorithm, entropy_coef=0.1)


def test_its_loss_and_gradients_are_those_of_ppo_on_what_it_is_given(nlpo, case):
    batch, new = case
    ppo = FOUND["ppo"]
    assert isinstance(ppo, PPO)
    ppo = replace(ppo, entropy_coef=0.1)
    ours, theirs = (algorithm.loss(new, batch, totals(12)) for algorithm in (nlpo, ppo))
    assert torch.equal(ours.loss, theirs.loss) and ours.metrics == theirs.metrics
    for a, b in zip(gradients(ours.loss, new), gradients(theirs.loss, new), strict=True):
        assert torch.equal(a, b)


def test_its_values_reach_the_objective(nlpo):
    shared = {field.name for field in fields(NLPO)} & {field.name for field in fields(PPO)}
    assert shared == {field.name for field in fields(PPO)} - {"entropy", "kl_coef"}
    changed = {
        "clip_range": 0.3, "value_clip_range": None, "value_coef": 0.7, "entropy_coef": 0.2, "gamma": 0.9,
        "gae_lambda": 0.8, "whiten_advantages": "none", "kl": replace(nlpo.kl, initial=0.9),
    }  # fmt: skip
    assert changed.keys() == shared
    other = replace(nlpo, **changed)
    assert all(getattr(other.ppo, name) == value for name, value in changed.items())


def test_it_credits_as_ppo_does(nlpo, randn, mask_of, make_experience):
    rollout = make_experience(mask=mask_of(4, 1, width=4), scores=[1.0, -2.0], values=randn(2, 4))
    ours, theirs = credited(nlpo, rollout, 0.3), credited(nlpo.ppo, rollout, 0.3)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs.columns)


def test_it_asks_for_a_mask_of_a_lagged_copy_beside_what_ppo_asks_for(nlpo):
    asked = replace(nlpo, top_mask=0.4, min_tokens_to_keep=7, target_update_iterations=3).needs
    assert (asked.lagged_every, asked.mask) == (3, Nucleus(top_p=0.4, min_tokens=7))
    assert replace(asked, lagged_every=None, mask=None) == nlpo.ppo.needs


def test_with_a_mask_that_keeps_everything_it_asks_for_nothing_more_than_ppo(nlpo):
    assert replace(nlpo, top_mask=1.0).needs == nlpo.ppo.needs
