"""Training of a reward model: planted scores come back, microbatches change nothing, a resumed run is the same."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scored import WORDS, planted, responses_to, with_responses
from test_resume import assert_equal, run_until, untimed
from toy import Killed, die, logged, splits

from rftlab.algorithms.reward_model import BradleyTerry
from rftlab.errors import UserError
from rftlab.files import read_lines
from rftlab.loops import checkpoint
from rftlab.loops import reward_model as loop
from rftlab.loops.lab import Lab
from rftlab.loops.pairs import pairs_of_task
from rftlab.loops.reward_model import RewardModelling
from rftlab.models import load_weights
from rftlab.models.reward_model import Reading, RewardModel, reward_model
from rftlab.stop import StopFlag, StopRequested

FAMILIES = pytest.mark.parametrize("family", ["causal", "seq2seq"])
READING = Reading(max_prompt_tokens=16, truncation_side="left", max_response_tokens=6)


def training(**values: object) -> RewardModelling:
    usual = {
        "steps": 4, "batch_size": 6, "microbatch_size": 6, "pairs": "all", "max_response_tokens": None, "centre": True,
    }  # fmt: skip
    return RewardModelling(**usual | values)


def trained(lab: Lab, fresh: Lab) -> RewardModel:
    """Read the weights that a run has left, into a model of its own."""
    model = reward_model(fresh.policy, READING, torch.Generator().manual_seed(9))
    load_weights(model, lab.session.run.folder / "final" / "model.safetensors")
    return model


def test_the_loss_is_minus_the_log_probability_of_bradley_and_terry() -> None:
    chosen, rejected = torch.tensor([1.0, 5.0, 0.0]), torch.tensor([0.0, 5.0, 2.0])
    expected = torch.tensor([0.313262, 0.693147, 2.126928])
    torch.testing.assert_close(BradleyTerry().pair_loss(chosen, rejected), expected)
    torch.testing.assert_close(BradleyTerry().pair_loss(chosen + 7, rejected + 7), expected)


def test_the_optimum_recovers_planted_scores_up_to_a_constant() -> None:
    """Tabular: all pairs, each as often as the planted scores say."""
    truth = torch.tensor([0.3, -1.0, 0.0, 1.4])
    chosen, rejected = torch.tensor([(i, j) for i in range(4) for j in range(4) if i != j]).T
    weights = torch.sigmoid(truth[chosen] - truth[rejected])
    scores = torch.zeros(4, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores], max_iter=100, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        whole = (weights * BradleyTerry().pair_loss(scores[chosen], scores[rejected])).sum()
        whole.backward()
        return whole

    optimizer.step(loss)
    found = scores.detach()
    torch.testing.assert_close(found - found.mean(), truth - truth.mean(), atol=1e-3, rtol=0)


@FAMILIES
def test_planted_scores_are_recovered_on_prompts_that_were_not_seen(quick_lab: Callable[..., Lab], family: str) -> None:
    lab = with_responses(quick_lab("learns", family=family, lr=1e-2), each=6)
    final = training(steps=60, batch_size=16, microbatch_size=16).run(lab, BradleyTerry())
    assert final["eval/validation/pair_accuracy"] > 0.75 > logged(lab, "eval/validation/pair_accuracy")[0]
    assert final["eval/validation/pair_loss"] < 0.5
    model = trained(lab, quick_lab("fresh", family=family))
    found = model.score(["bab"] * len(WORDS), WORDS, 8)
    assert np.corrcoef(found, [planted(word) for word in WORDS])[0, 1] > 0.6


def test_held_out_pairs_are_measured_beside_the_preference_for_the_longer_reply(
    quick_lab: Callable[..., Lab],
) -> None:
    lines: list[str] = []
    lab = with_responses(quick_lab("told"))
    short = [replace(r, score=-float(len(r.response))) for r in responses_to(splits().validation)]
    lab = replace(
        lab,
        task=replace(lab.task, responses={**lab.task.responses, "validation": short}),
        session=replace(lab.session, describe=lines.append),
    )
    final = training(steps=1).run(lab, BradleyTerry())
    assert final["eval/validation/longer_accuracy"] == 0.0
    assert final["eval/validation/pairs"] > 4
    assert any("held-out pairs: loss" in line and "longer reply 0.000" in line for line in lines)
    assert not list(lab.task.reward.calls)  # nothing was sampled, nothing scored


@pytest.mark.parametrize("centre", [True, False])
def test_in_the_end_the_train_responses_score_zero_on_average_if_asked_for(
    quick_lab: Callable[..., Lab], centre: bool
) -> None:
    lab = with_responses(quick_lab("centred"))
    final = training(centre=centre, pairs="best_worst").run(lab, BradleyTerry())
    model = trained(lab, quick_lab("fresh"))
    assert abs(final["reward_model/mean"]) > 1e-3
    assert float(model.centre) == pytest.approx(final["reward_model/mean"] if centre else 0.0)


def test_the_scores_of_some_train_pairs_say_where_zero_is(
    quick_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To score all pairs of a large model takes as long as to train on them."""
    monkeypatch.setattr(loop, "MOMENTS_OF", 3)
    seen = []
    moments_of = loop.moments_of
    monkeypatch.setattr(
        loop, "moments_of", lambda lab, network, pairs: seen.extend(pairs) or moments_of(lab, network, pairs)
    )
    lab = with_responses(quick_lab("some"))
    training().run(lab, BradleyTerry())
    assert len(seen) == 3 < len(pairs_of_task(lab, "train", "all"))


def test_without_held_out_pairs_the_accuracy_is_unknown(quick_lab: Callable[..., Lab]) -> None:
    lab = with_responses(quick_lab("alone"))
    lab = replace(lab, task=replace(lab.task, responses={"train": lab.task.responses["train"]}))
    assert np.isnan(training(steps=1).run(lab, BradleyTerry())["eval/validation/pair_accuracy"])


@FAMILIES
def test_microbatches_change_no_gradient_of_a_reward_model(quick_lab: Callable[..., Lab], family: str) -> None:
    labs = [with_responses(quick_lab(f"in {size}", family=family)) for size in (6, 1)]
    for lab, size in zip(labs, (6, 1), strict=True):
        training(microbatch_size=size).run(lab, BradleyTerry())
    first, second = (lab.optimizer.build.steps[0].everything for lab in labs)
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)
    assert logged(labs[0], "reward_model/loss") == pytest.approx(logged(labs[1], "reward_model/loss"), rel=1e-3)


@FAMILIES
def test_a_resumed_reward_model_equals_the_uninterrupted_one_bit_for_bit(
    quick_lab: Callable[..., Lab], family: str
) -> None:
    whole = with_responses(quick_lab("whole", family=family))
    final = training().run(whole, BradleyTerry())
    broken = with_responses(quick_lab("broken", family=family, watch={"at": 2, "then": die}))
    folder = broken.session.run.folder
    run_until(broken, training(), BradleyTerry(), Killed)
    saved = checkpoint.latest(folder)
    assert saved is not None and saved[0] == 1
    resumed = with_responses(quick_lab("broken", family=family))
    assert training().run(resumed, BradleyTerry()) == final
    lines = list(read_lines(folder / "metrics.jsonl"))
    steps = [(line["attempt"], line["step"]) for line in lines if "reward_model/loss" in line["metrics"]]
    assert steps == [(1, 1), (2, 2), (2, 3), (2, 4)]
    assert_equal(*(load_file(lab.session.run.folder / "final" / "model.safetensors") for lab in (whole, resumed)))
    assert untimed(whole.session.run.folder) == untimed(folder)


def test_a_reward_model_that_is_asked_to_stop_saves_its_step_first(quick_lab: Callable[..., Lab]) -> None:
    lab = with_responses(quick_lab("asked", checkpoint_every=1000, watch={"at": 1}))
    lab.optimizer.build.then = lambda: lab.session.stop.request("preempted")
    run_until(lab, training(), BradleyTerry(), StopRequested)
    saved = checkpoint.latest(lab.session.run.folder)
    assert saved is not None and saved[0] == 1
    again = with_responses(quick_lab("asked", checkpoint_every=1000))
    assert isinstance(again.session.stop, StopFlag)
    assert training().run(again, BradleyTerry())["eval/train/pairs"] == 1.0


def test_a_reward_model_cannot_start_a_policy(quick_lab: Callable[..., Lab]) -> None:
    lab = with_responses(quick_lab("kept"))
    training(steps=1).run(lab, BradleyTerry())
    with pytest.raises(UserError, match="differs from the model in"):
        load_weights(quick_lab("policy").policy, lab.session.run.folder / "final" / "model.safetensors")
