"""Loops: a resumed run is the uninterrupted one, the first ratio is one, and training raises the reward."""

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file
from toy import Killed

from rftlab.algorithms.apa import APA
from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.ppo import PPO
from rftlab.algorithms.sft import SFT
from rftlab.errors import UserError
from rftlab.loops.lab import Lab
from rftlab.loops.metrics import negative_kl, refuse_divergence
from rftlab.loops.online import Online
from rftlab.loops.supervised import Supervised
from rftlab.runs import read_run
from rftlab.types import Algorithm

PPO_LOSS = PPO(
    clip_range=0.2,
    value_clip_range=0.2,
    value_coef=0.5,
    entropy_coef=0.01,
    gamma=1.0,
    gae_lambda=0.95,
    whiten_advantages="rollout",
    kl=AdaptiveKL(initial=0.05, target=1.0, rate=0.1),
)
APA_LOSS = APA(lam=0.5, value_coef=1.0, entropy_coef=0.0, gamma=1.0, gae_lambda=0.95, whiten_advantages="rollout")


def online(iterations: int = 5, **values: object) -> Online:
    sizes = {"prompts_per_iteration": 4, "samples_per_prompt": 2, "update_epochs": 2, "minibatch_size": 4}
    rest = {"microbatch_size": 2, "score_scaling": "running", "score_clip": 10.0}
    return Online(**{"iterations": iterations} | sizes | rest | values)


def supervised(**values: object) -> Supervised:
    defaults = {"steps": 5, "step_fraction": 1.0, "sample_fraction": 0.5, "batch_size": 4, "microbatch_size": 2}
    return Supervised(**defaults | values)


def logged(lab: Lab, name: str) -> dict[int, float]:
    return {step: value for step, key, value in read_run(lab.session.run.folder).metrics() if key == name}


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize(
    ("loop", "loss"), [(online(), PPO_LOSS), (online(), APA_LOSS), (supervised(), SFT())], ids=["ppo", "apa", "sft"]
)
def test_resumed_run_equals_uninterrupted_run_bit_for_bit(
    make_lab: Callable[..., Lab], family: str, loop: Online | Supervised, loss: Algorithm | SFT
) -> None:
    whole = make_lab("whole", family=family)
    final = loop.run(whole, loss)
    # the reward is called twice for the probe and twice for the evaluation before the first iteration
    broken = make_lab("broken", family=family, dies_at=8)
    with pytest.raises(Killed):
        loop.run(broken, loss)
    broken.session.run.stop()
    resumed = make_lab("broken", family=family)
    assert loop.run(resumed, loss) == final
    weights = [load_file(lab.session.run.folder / "final" / "model.safetensors") for lab in (whole, resumed)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    untimed = [
        [
            (step, key, value)
            for step, key, value in read_run(lab.session.run.folder).metrics()
            if not key.startswith("time/")
        ]
        for lab in (whole, resumed)
    ]
    assert sorted(untimed[0]) == sorted(untimed[1])


def test_the_interrupted_run_did_resume_and_not_start_again(make_lab: Callable[..., Lab]) -> None:
    broken = make_lab("broken", dies_at=8)
    with pytest.raises(Killed):
        online().run(broken, PPO_LOSS)
    broken.session.run.stop()
    resumed = make_lab("broken")
    online().run(resumed, PPO_LOSS)
    first_attempt = {s for s, key, _ in read_run(broken.session.run.folder).metrics() if key == "reward/mean"}
    assert first_attempt == {1, 2, 3, 4, 5}
    lines = (broken.session.run.folder / "metrics.jsonl").read_text().splitlines()
    assert sum('"reward/mean"' in line for line in lines) == 5  # no iteration was done twice


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize("microbatch_size", [1, 2, 4])
def test_without_a_step_the_new_policy_is_the_old_one_whatever_the_chunks(
    make_lab: Callable[..., Lab], family: str, microbatch_size: int
) -> None:
    lab = make_lab("still", family=family, lr=1e-12)
    online(iterations=2, microbatch_size=microbatch_size).run(lab, PPO_LOSS)
    assert max(map(abs, logged(lab, "policy/approx_kl_old").values())) < 1e-6
    assert set(logged(lab, "policy/clip_frac").values()) == {0.0}
    assert max(map(abs, logged(lab, "policy/kl").values())) < 1e-4


@pytest.mark.parametrize("loss", [PPO_LOSS, APA_LOSS], ids=["ppo", "apa"])
def test_the_number_of_microbatches_changes_nothing(make_lab: Callable[..., Lab], loss: Algorithm) -> None:
    norms = []
    for size in (1, 4):
        lab = make_lab(f"micro{size}")
        online(iterations=1, microbatch_size=size).run(lab, loss)
        norms.append(logged(lab, "grad/norm")[1])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_an_sft_gradient_does_not_depend_on_the_microbatches(make_lab: Callable[..., Lab]) -> None:
    losses = []
    for size in (1, 4):
        lab = make_lab(f"sft{size}")
        supervised(microbatch_size=size).run(lab, SFT())
        losses.append(list(logged(lab, "sft/loss").values()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("value", ["separate", "head"])
@pytest.mark.parametrize("loss", [PPO_LOSS, APA_LOSS], ids=["ppo", "apa"])
def test_reward_rises_on_a_toy_task(make_lab: Callable[..., Lab], loss: Algorithm, value: str) -> None:
    lab = make_lab("toy", value=value)
    big = online(iterations=25, prompts_per_iteration=12, samples_per_prompt=4, minibatch_size=16, microbatch_size=16)
    final = big.run(lab, loss)
    before = logged(lab, "probe/reward_mean")[0]
    assert final["probe/reward_mean"] > before + 0.1


def test_partial_sft_takes_its_share_of_steps_and_of_prompts(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("partial")
    supervised(steps=10, step_fraction=0.3, sample_fraction=0.1).run(lab, SFT())
    assert set(logged(lab, "sft/loss")) == {1, 2, 3}


def test_statistics_before_and_after_concern_the_same_prompts(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("probe")
    online(iterations=1).run(lab, PPO_LOSS)
    lab.session.run.finish({})
    frame = read_run(lab.session.run.folder).prompts()
    before, after = (frame[frame["phase"] == phase] for phase in ("before", "after"))
    assert list(before["prompt_id"]) == list(after["prompt_id"])
    assert len(before) == 6
    assert set(before["n_samples"]) == {3}


def test_during_training_the_first_prompts_of_the_same_set_are_looked_at(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("probe")  # looks every 2 iterations at 4 of the 6 prompts
    online(iterations=5).run(lab, PPO_LOSS)
    frame = read_run(lab.session.run.folder).prompts()
    before, during = (frame[frame["phase"] == phase] for phase in ("before", "during"))
    assert list(during["step"]) == [2] * 4 + [4] * 4
    for _, look in during.groupby("step"):
        assert list(look["prompt_id"]) == list(before["prompt_id"])[:4]
    assert set(logged(lab, "probe/share_vanishing")) == {0, 2, 4, 5}


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    with pytest.raises(UserError, match=r"policy/loss is nan.*optimizer\.lr"):
        refuse_divergence({"policy/loss": float("nan"), "grad/norm": 1.0})


def test_only_a_lasting_negative_kl_is_an_alarm() -> None:
    assert negative_kl([-5.0]) is None
    assert negative_kl([1.0] * 9 + [-5.0]) is None
    assert "sampler" in (negative_kl([-0.5] * 10) or "")
