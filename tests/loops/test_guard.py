"""A run that diverges ends before the step is taken, and never leaves broken weights behind."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from losses import apa, in_tokens, online, ppo, reinforce, supervised
from torch import Tensor, nn

from rftlab.algorithms.sft import SFT
from rftlab.errors import UserError
from rftlab.loops import checkpoint
from rftlab.loops.guard import refuse_broken_network, refuse_divergence
from rftlab.loops.lab import Lab
from rftlab.runs import read_run

EVERY_STEP = {
    "every": 1,
    "sizes": dict.fromkeys(("train", "validation", "test"), 1),
    "probe_prompts": 2,
    "probe_prompts_during": 1,
    "probe_every": 1,
}
HUGE = 1e30  # a learning rate with which the first step breaks everything
RUNS = {
    "ppo": (online(), ppo()),
    "ppo in tokens": (in_tokens(), ppo()),
    "apa": (online(), apa()),
    "reinforce": (online(), reinforce()),
    "sft": (supervised(), SFT()),
    "one step of ppo": (online(iterations=1, update_epochs=1, minibatch_size=8), ppo()),
    "one step of sft": (supervised(steps=1), SFT()),
}


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize("name", list(RUNS))
def test_a_learning_rate_that_breaks_the_weights_ends_the_run_in_three_parts(
    quick_lab: Callable[..., Lab], family: str, name: str
) -> None:
    loop, loss = RUNS[name]
    lab = quick_lab("run", family=family, lr=HUGE, evaluation=EVERY_STEP)
    with pytest.raises(UserError, match=r"optimiser step \d; expected a finite number; change optimizer\.lr"):
        loop.run(lab, loss)
    assert len(lab.optimizer.build.steps) >= 1
    assert all(bool(step.everything.isfinite().all()) for step in lab.optimizer.build.steps), "a step was taken on NaN"
    folder = lab.session.run.folder
    assert not (folder / "final").exists()
    assert checkpoint.latest(folder) is None
    assert {step for step, name, _ in read_run(folder).metrics() if name.startswith("eval/")} == {0}


def test_a_reward_that_is_no_number_is_noticed_before_the_step(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("nan", reward={"change": lambda scores: scores * np.nan})
    before = [parameter.clone() for parameter in lab.policy.parameters()]
    with pytest.raises(UserError, match=r"value/loss is nan at optimiser step 1"):
        online().run(lab, ppo())
    assert lab.optimizer.build.steps == []
    assert all(torch.equal(a, b) for a, b in zip(before, lab.policy.parameters(), strict=True))


def test_the_first_broken_number_is_named() -> None:
    with pytest.raises(UserError, match=r"value/loss is inf at optimiser step 7; .*; change optimizer\.lr"):
        refuse_divergence({"policy/loss": 1.0, "value/loss": float("inf"), "loss": float("inf")}, 7)
    refuse_divergence({"policy/loss": 1.0, "grad/norm": 0.0, "value/explained_var": float("nan")}, 7)


def network(value: float, where: str) -> nn.Module:
    made = nn.BatchNorm1d(2)
    with torch.no_grad():
        getattr(made, where)[0] = value
    return made


@pytest.mark.parametrize("where", ["weight", "bias", "running_mean"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e30])
def test_weights_and_buffers_must_be_numbers_with_a_norm(where: str, value: float) -> None:
    with pytest.raises(UserError, match=r"the norm of the weights is (nan|inf) after optimiser step 3"):
        refuse_broken_network(network(value, where), torch.zeros(1), 3)
    refuse_broken_network(network(1e10, where), torch.zeros(1), 3)


def test_what_the_network_says_must_be_a_number() -> None:
    with pytest.raises(UserError, match="the output is nan after optimiser step 3"):
        refuse_broken_network(network(1.0, "bias"), torch.tensor([1.0, float("nan")]), 3)


def test_an_optimiser_step_waits_for_the_device_as_often_as_without_a_guard(
    quick_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for the sizes of the step, once for its cut into microbatches, once for all that is logged of it."""
    waits = 0

    def counting(method: Callable) -> Callable:
        def counted(tensor: Tensor, *arguments: object) -> object:
            nonlocal waits
            waits += "/rftlab/loops/" in sys._getframe(1).f_code.co_filename  # not those of the libraries
            return method(tensor, *arguments)

        return counted

    def of(epochs: int) -> int:
        nonlocal waits
        lab = quick_lab(f"epochs{epochs}")
        waits = 0
        online(iterations=1, update_epochs=epochs, microbatch_size=4).run(lab, ppo(whiten_advantages="none"))
        return waits

    for name in ("tolist", "item", "__float__", "__bool__", "__int__"):
        monkeypatch.setattr(Tensor, name, counting(getattr(Tensor, name)))
    few, many = of(1), of(3)
    per_pass = 2 * 3 + 1  # two optimiser steps, and the cut of the pass
    assert many - few == 2 * per_pass
