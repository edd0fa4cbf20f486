"""Rejection sampling: which responses are kept, and what is learned from them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses import online
from test_resume import assert_equal, run_until, untimed
from toy import Killed, die, logged

from rftlab.algorithms.sft import SFT
from rftlab.loops import checkpoint
from rftlab.loops.best_of import BestOf
from rftlab.loops.collect import Place, Sampled
from rftlab.loops.dynamic_sampling import DynamicSampling
from rftlab.loops.lab import Lab

GROUPS = torch.tensor([0, 0, 0, 1, 1, 1])


def best(keep: int, **values: object) -> BestOf:
    return BestOf(**{"keep": keep, "min_score": None, "min_quantile": 0.0} | values)


def kept(choice: BestOf, scores: list[float]) -> list[int]:
    return choice.mask(torch.tensor(scores), GROUPS[: len(scores)]).nonzero().flatten().tolist()


# --- which --------------------------------------------------------------------------------------------------------


def test_the_best_of_each_prompt_are_kept_and_of_equals_the_first():
    assert kept(best(1), [0.1, 0.9, 0.9, 0.3, 0.2, 0.1]) == [1, 3]
    assert kept(best(2), [0.1, 0.9, 0.5, 0.2, 0.2, 0.2]) == [1, 2, 3, 4]


def test_limits_hold_beside_the_rank():
    assert kept(best(2, min_score=0.3), [0.1, 0.9, 0.3, 0.2, 0.1, 0.0]) == [1, 2]
    assert kept(best(3, min_score=2.0), [0.1, 0.9, 0.3, 0.2, 0.1, 0.0]) == []
    assert kept(best(3, min_quantile=0.8), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]) == [4, 5]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=6, max_size=6), st.integers(1, 3))
def test_no_kept_response_scores_less_than_one_of_its_prompt_that_is_not(scores, keep):
    chosen = set(kept(best(keep), scores))
    for group in ({0, 1, 2}, {3, 4, 5}):
        assert len(chosen & group) == keep
        assert min(scores[i] for i in chosen & group) >= max([scores[i] for i in group - chosen], default=-1.0)


# --- what is learned ----------------------------------------------------------------------------------------------


def rejection(**values: object):
    return online(**{"score_scaling": "none", "score_clip": None, "update_epochs": 1} | values)


def test_where_all_are_kept_it_is_maximum_likelihood_of_all_samples(quick_lab: Callable[..., Lab]) -> None:
    """As the ids were sampled: none is decoded and read again."""
    lab = quick_lab("all", max_grad_norm=None)
    collector = Sampled(prompts=4, tokens=None, samples_per_prompt=2, unit="row")
    sample = collector.collect(lab, Place(iteration=1, position=0)).experience
    asked = sample.prompt_index
    prompts = sample.prompt_ids[asked], sample.prompt_mask[asked]
    forward = lab.policy(*prompts, sample.response_ids, sample.response_mask, sample.temperature)
    (-forward.logprobs[sample.response_mask].mean()).backward()
    expected = {name: p.grad.clone() for name, p in lab.policy.named_parameters() if p.grad is not None}
    lab.policy.zero_grad()
    rejection(iterations=1, minibatch_size=8, best=best(2)).run(lab, SFT())
    (step,) = lab.optimizer.build.steps
    assert expected.keys() == step.policy.keys()
    for name, gradient in step.policy.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def of_letter(prompts, texts, targets) -> np.ndarray:
    return np.array([text.count("c") / 2 for text in texts])


def test_the_policy_moves_to_the_best_answers(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("moves", rollout={"min_new_tokens": 2, "max_new_tokens": 2}, lr=3e-2)
    lab = replace(lab, task=replace(lab.task, reward=of_letter))
    loop = rejection(iterations=25, prompts_per_iteration=8, samples_per_prompt=4, minibatch_size=8, best=best(1))
    loop.run(lab, SFT())
    rewards = logged(lab, "reward/mean")
    assert np.mean(rewards[:3]) < 0.35 < 0.75 < np.mean(rewards[-3:])
    better = np.array(logged(lab, "sampling/kept_reward")) >= np.array(rewards)
    assert better.all()


def test_the_schedule_ends_with_the_run_however_many_are_kept(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("quantile")
    rejection(minibatch_size=2, best=best(1, min_quantile=0.6)).run(lab, SFT())
    numbers = logged(lab, "sampling/kept_responses")
    steps = sum(-(-int(number) // 2) for number in numbers[:3])
    assert 0 < len(lab.optimizer.build.steps) == steps < 6
    assert logged(lab, "optimizer/lr")[-1] == 0.0
    assert logged(lab, "rollout/responses") == [8.0] * 4


def test_with_all_kept_as_many_steps_are_taken_as_planned(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("planned")
    rejection(minibatch_size=2, best=best(1)).run(lab, SFT())
    assert len(lab.optimizer.build.steps) == 3 * 2
    assert lab.optimizer.build.steps[-1].lr == 0.0


def test_it_goes_with_dynamic_sampling(quick_lab: Callable[..., Lab]) -> None:
    lab = replace(quick_lab("both"), choice=DynamicSampling(max_rounds=9))
    rejection(minibatch_size=2, best=best(1)).run(lab, SFT())
    assert logged(lab, "sampling/kept_responses") == logged(lab, "sampling/kept")


@pytest.mark.parametrize("choice", [best(1), best(2, min_quantile=0.3)], ids=["best", "quantile"])
def test_a_resumed_run_equals_the_uninterrupted_one(quick_lab: Callable[..., Lab], choice: BestOf) -> None:
    loop = rejection(minibatch_size=2, best=choice)
    whole = quick_lab("whole")
    final = loop.run(whole, SFT())
    broken = quick_lab("broken", watch={"at": len(whole.optimizer.build.steps), "then": die})
    folder = broken.session.run.folder
    run_until(broken, loop, SFT(), Killed)
    saved = checkpoint.latest(folder)
    assert saved is not None and saved[0] == 2
    resumed = quick_lab("broken")
    assert loop.run(resumed, SFT()) == final
    assert 0 < len(resumed.optimizer.build.steps) < len(whole.optimizer.build.steps)
    assert untimed(whole.session.run.folder) == untimed(folder)
    assert_equal(whole.policy.state_dict(), resumed.policy.state_dict())
