"""An algorithm without a value function pays for none: in memory, in the checkpoint, in what is logged."""

import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from losses import online, ppo, reinforce
from toy import Killed, die

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.reinforce import TextReinforce
from rftlab.loops import checkpoint
from rftlab.loops.lab import Lab
from rftlab.runs import read_run

STEPS = 4  # of the optimiser, per iteration
NO_PENALTY = AdaptiveKL(initial=0.0, target=None, rate=0.0, unit="response")


def state_of(lab: Lab, loss: object) -> dict:
    """Run until the process dies in the second iteration, and return the checkpoint of the first."""
    with pytest.raises(Killed):
        online().run(lab, loss)
    saved = checkpoint.latest(lab.session.run.folder)
    assert saved is not None
    return saved[1]


def test_its_checkpoint_holds_no_critic(quick_lab: Callable[..., Lab]) -> None:
    dying = {"watch": {"at": STEPS + 1, "then": die}}
    with_critic, without = state_of(quick_lab("a", **dying), ppo()), state_of(quick_lab("b", **dying), reinforce())
    assert any(name.startswith("value.") for name in with_critic["networks"])
    assert all(name.startswith("policy.") for name in without["networks"])
    assert len(without["optimizer"]["state"]) < len(with_critic["optimizer"]["state"]) / 1.5


def test_it_logs_nothing_of_values_and_the_kl_that_its_penalty_needs(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("run")
    online().run(lab, reinforce())
    names = {name for _, name, _ in read_run(lab.session.run.folder).metrics()}
    assert not any(name.startswith("value/") for name in names)
    assert {"policy/loss", "policy/kl", "kl_control/beta", "advantage/std_raw", "reward/mean"} <= names


def test_without_a_penalty_there_is_no_reference_to_measure_against(quick_lab: Callable[..., Lab]) -> None:
    assert not reinforce(kl=NO_PENALTY).needs.reference
    lab = quick_lab("run")
    online().run(lab, reinforce(kl=NO_PENALTY))
    metrics = {(step, name): value for step, name, value in read_run(lab.session.run.folder).metrics()}
    assert not any(name == "policy/kl" for _, name in metrics)
    assert metrics[3, "kl_control/beta"] == 0.0


def test_evaluations_tell_the_kl_to_the_start_where_they_are_asked_to_and_no_rollout_does(
    quick_lab: Callable[..., Lab],
) -> None:
    found = {}
    for name, loss in {"rollouts": reinforce(), "evaluations": reinforce(kl=NO_PENALTY)}.items():
        for asked in (False, True):
            lab = quick_lab(f"{name} {asked}", evaluation={"kl_to_start": asked, "every": 1})
            online().run(lab, loss)
            read = read_run(lab.session.run.folder).metrics()
            found[name, asked] = [(step, value) for step, metric, value in read if metric == "policy/kl"]
    assert found["rollouts", True] == found["rollouts", False] != []
    assert found["evaluations", False] == [] and len(found["evaluations", True]) == 4
    (_, first), *_, (_, last) = found["evaluations", True]
    assert first == pytest.approx(0.0, abs=1e-5) and abs(last) > 1e-4


def test_one_pass_moves_the_policy_along_the_policy_gradient_and_nothing_else(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("run")
    before = [parameter.clone() for parameter in lab.policy.parameters()]
    online(iterations=1, update_epochs=1).run(lab, reinforce())
    moved = [not torch.equal(a, b) for a, b in zip(before, lab.policy.parameters(), strict=True)]
    assert any(moved)


class Together(TextReinforce):
    """The same algorithm, for which the responses to a prompt belong together."""

    unit = "group"


def test_a_run_whose_minibatches_hold_whole_groups_ends(quick_lab: Callable[..., Lab]) -> None:
    algorithm = Together(**{field.name: getattr(reinforce(), field.name) for field in fields(TextReinforce)})
    lab = quick_lab("whole")
    online(minibatch_size=4, microbatch_size=1).run(lab, algorithm)
    assert (lab.session.run.folder / "final" / "model.safetensors").exists()


@pytest.mark.slow
def test_it_takes_at_most_three_quarters_of_the_memory_of_ppo() -> None:
    sys.path.append(str(Path(__file__).parents[2] / "bench"))
    from memory import peak_mib

    assert peak_mib("reinforce", []) <= 0.75 * peak_mib("ppo", [])
