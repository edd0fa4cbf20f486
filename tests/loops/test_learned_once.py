"""A rollout that is learned once, in one microbatch, is read once; minibatches of whole prompts part none."""

from collections.abc import Callable
from unittest import mock

import pytest
import torch
from losses import grpo, online, ppo
from toy import Step, logged

from rftlab.loops import experience
from rftlab.loops.lab import Lab
from rftlab.loops.networks import NetworkSet
from rftlab.types import Algorithm, Experience


def steps_of(lab: Lab, loss: Algorithm, microbatch_size: int, epochs: int) -> tuple[list[Step], int]:
    """Run two iterations with a step per pass; return the steps and how often columns had passes of their own."""
    loop = online(iterations=2, update_epochs=epochs, minibatch_size=8, microbatch_size=microbatch_size)
    with mock.patch.object(NetworkSet, "annotate", autospec=True, side_effect=NetworkSet.annotate) as annotate:
        loop.run(lab, loss)
    return lab.optimizer.build.steps, annotate.call_count


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize("loss", [ppo(whiten_advantages="rollout"), grpo(kl_coef=0.1)], ids=["ppo", "grpo"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_one_pass_serves_rollout_and_update_where_there_is_but_one(
    quick_lab: Callable[..., Lab], family: str, loss: Algorithm, epochs: int
) -> None:
    once, passes = steps_of(quick_lab("once", family=family), loss, 8, epochs)
    parts, passes_of_parts = steps_of(quick_lab("parts", family=family), loss, 4, epochs)
    assert passes_of_parts == 3, "two rollouts that are learned, and the last one"
    assert passes == (1 if epochs == 1 else 3)
    assert len(once) == len(parts) == 2 * epochs
    for one, other in zip(once, parts, strict=True):
        for name, gradient in one.policy.items():
            torch.testing.assert_close(gradient, other.policy[name], atol=1e-5, rtol=1e-4)
    if epochs == 1:
        lab = quick_lab("told", family=family)
        steps_of(lab, loss, 8, epochs)
        values = logged(lab, "policy/approx_kl_old")
        assert values and not any(values), "the ratio is exactly 1"


def test_minibatches_of_prompts_hold_all_responses_to_each(quick_lab: Callable[..., Lab]) -> None:
    seen: list[Experience] = []
    update = experience.accumulate_gradient

    def note(algorithm: Algorithm, networks: NetworkSet, minibatch: Experience, **words: object) -> object:
        seen.append(minibatch)
        return update(algorithm, networks, minibatch, **words)

    with mock.patch.object(experience, "accumulate_gradient", note):
        online(iterations=2, minibatch_size=4, minibatch_of="prompts").run(quick_lab("whole"), ppo())
    assert len(seen) == 8
    for minibatch in seen:
        assert minibatch.prompt_index.bincount().tolist() == [2, 2]
