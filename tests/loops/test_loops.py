"""Loops: training raises the reward, takes its share of steps and prompts, and looks at the same prompts throughout."""

from collections.abc import Callable
from dataclasses import replace
from statistics import mean

import pytest
from losses import apa, online, ppo, supervised

from rftlab.algorithms.sft import SFT
from rftlab.errors import UserError
from rftlab.loops.guard import refuse_divergence
from rftlab.loops.lab import Lab
from rftlab.loops.metrics import negative_kl
from rftlab.runs import read_run
from rftlab.types import Algorithm


def logged(lab: Lab, name: str) -> dict[int, float]:
    return {step: value for step, key, value in read_run(lab.session.run.folder).metrics() if key == name}


def test_an_sft_gradient_does_not_depend_on_the_microbatches(make_lab: Callable[..., Lab]) -> None:
    losses = []
    for size in (1, 4):
        lab = make_lab(f"sft{size}")
        supervised(microbatch_size=size).run(lab, SFT())
        losses.append(list(logged(lab, "sft/loss").values()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("value", ["separate", "head"])
@pytest.mark.parametrize("loss", [ppo(), apa()], ids=["ppo", "apa"])
def test_reward_rises_on_a_toy_task(make_lab: Callable[..., Lab], loss: Algorithm, value: str) -> None:
    """The mean over three seeds, as a rollout of 48 responses alone is uncertain by 0.05."""
    loop = online(iterations=15, prompts_per_iteration=12, samples_per_prompt=4, minibatch_size=16, microbatch_size=16)
    rises = []
    for seed in (0, 1, 2):
        lab = make_lab(f"toy{seed}", value=value)
        lab = replace(lab, session=replace(lab.session, seed=seed))
        loop.run(lab, loss)
        rewards = list(logged(lab, "reward/mean").values())
        rises.append(mean(rewards[-5:]) - rewards[0])
    assert mean(rises) > 0.05


def test_partial_sft_takes_its_share_of_steps_and_of_prompts(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("partial")
    supervised(steps=10, step_fraction=0.3, sample_fraction=0.1).run(lab, SFT())
    assert set(logged(lab, "sft/loss")) == {1, 2, 3}


def test_statistics_before_and_after_concern_the_same_prompts(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("probe")
    online(iterations=1).run(lab, ppo())
    lab.session.run.finish({})
    frame = read_run(lab.session.run.folder).prompts()
    before, after = (frame[frame["phase"] == phase] for phase in ("before", "after"))
    assert list(before["prompt_id"]) == list(after["prompt_id"])
    assert len(before) == 6
    assert set(before["n_samples"]) == {3}


def test_during_training_the_first_prompts_of_the_same_set_are_looked_at(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("probe")  # looks every 2 iterations at 4 of the 6 prompts
    online(iterations=5).run(lab, ppo())
    frame = read_run(lab.session.run.folder).prompts()
    before, during = (frame[frame["phase"] == phase] for phase in ("before", "during"))
    assert list(during["step"]) == [2] * 4 + [4] * 4
    for _, look in during.groupby("step"):
        assert list(look["prompt_id"]) == list(before["prompt_id"])[:4]
    assert set(logged(lab, "probe/share_vanishing")) == {0, 2, 4, 5}


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    with pytest.raises(UserError, match=r"policy/loss is nan.*optimizer\.lr"):
        refuse_divergence({"policy/loss": float("nan"), "grad/norm": 1.0}, 3)


def test_only_a_lasting_negative_kl_is_an_alarm() -> None:
    assert negative_kl([-5.0]) is None
    assert negative_kl([1.0] * 9 + [-5.0]) is None
    assert "sampler" in (negative_kl([-0.5] * 10) or "")
