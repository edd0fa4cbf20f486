"""Heuristics that choose prompts: dynamic sampling, and the curriculum by reward std."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from losses import apa, online, ppo
from test_resume import assert_equal, responses, run_until, untimed
from toy import Killed, die, logged

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.errors import UserError
from rftlab.files import read_lines
from rftlab.loops import checkpoint
from rftlab.loops.collect import Place, Sampled
from rftlab.loops.curriculum import ByStd, StdCurriculum, measured
from rftlab.loops.draw import in_passes
from rftlab.loops.dynamic_sampling import DynamicSampling, has_spread
from rftlab.loops.lab import Lab
from rftlab.runs import read_run
from rftlab.types import Example

SIX = {"min_new_tokens": 6}  # tokens: hardly any two responses are then the same


def distinct(prompts, texts, targets) -> np.ndarray:
    """Score unequal responses unequally."""
    return np.array([int.from_bytes(text.encode(), "big") % 9973 / 9973 for text in texts])


def flat_for_some(prompts, texts, targets) -> np.ndarray:
    """Score as above where a prompt has an even number of letters, and all alike elsewhere."""
    scores = distinct(prompts, texts, targets)
    return np.array([s if len(p) % 2 == 0 else 0.25 for s, p in zip(scores, prompts, strict=True)])


def flat(prompts, texts, targets) -> np.ndarray:
    return np.full(len(texts), 0.1)  # no double is 0.1: the mean of several is not it


def lab_with(quick_lab: Callable[..., Lab], name: str, reward, choice=None, **values) -> Lab:
    lab = quick_lab(name, rollout=SIX, **values)
    return replace(lab, task=replace(lab.task, reward=reward), choice=choice)


def sampled(prompts: int) -> Sampled:
    return Sampled(prompts=prompts, tokens=None, samples_per_prompt=2, unit="group")


# --- dynamic sampling ---------------------------------------------------------------------------------------------


def test_a_rollout_in_rounds_is_one_draw_of_as_many_prompts(quick_lab: Callable[..., Lab]) -> None:
    """The first prompts with spread are learned; everything that was sampled up to them is described."""
    lab = lab_with(quick_lab, "rounds", flat_for_some)
    found = DynamicSampling(max_rounds=20).collector(lab, sampled(4)).collect(lab, Place(iteration=1, position=3))
    whole = sampled(found.prompts).collect(lab, Place(iteration=1, position=3))
    assert found.prompts > 4 and found.metrics["sampling/rounds"] > 1
    assert torch.equal(found.experience.scores, whole.experience.scores)
    assert torch.equal(found.experience.response_ids, whole.experience.response_ids)
    assert torch.equal(found.experience.prompt_ids, whole.experience.prompt_ids)
    spread = found.experience.scores.view(-1, 2)[:, 0] != found.experience.scores.view(-1, 2)[:, 1]
    assert int(spread.sum()) == 4 and bool(spread[-1]), "drawn on, though there were enough"
    assert found.kept.tolist() == torch.arange(2 * found.prompts)[spread.repeat_interleave(2)].tolist()
    assert found.metrics["sampling/discarded"] == found.prompts - 4
    assert found.metrics["sampling/discarded_share"] == pytest.approx(1 - 4 / found.prompts)
    learned = found.experience.rows(found.kept)
    assert learned.unit.unique_consecutive(return_counts=True)[1].tolist() == [2] * 4


def test_where_every_prompt_has_spread_nothing_changes(quick_lab: Callable[..., Lab]) -> None:
    labs = [lab_with(quick_lab, f"spread {c}", distinct, c) for c in (None, DynamicSampling(max_rounds=3))]
    plain, chosen = (online().run(lab, ppo()) for lab in labs)
    assert {name: value for name, value in chosen.items() if name in plain and not name.startswith("time/")} == {
        name: value for name, value in plain.items() if not name.startswith("time/")
    }
    assert logged(labs[1], "sampling/rounds") == [1.0] * 4
    assert_equal(*(lab.policy.state_dict() for lab in labs))


@pytest.mark.parametrize("algorithm", [ppo(), apa()], ids=["ppo", "apa"])
def test_without_any_spread_the_run_goes_on_and_learns_nothing(quick_lab: Callable[..., Lab], algorithm) -> None:
    lab = lab_with(quick_lab, "flat", flat, DynamicSampling(max_rounds=2))
    before = {name: value.clone() for name, value in lab.policy.state_dict().items()}
    online().run(lab, algorithm)
    assert_equal(before, lab.policy.state_dict())
    assert not lab.optimizer.build.steps
    assert logged(lab, "sampling/discarded_share") == [1.0] * 4 and logged(lab, "sampling/rounds") == [2.0] * 4
    assert logged(lab, "reward/mean") == [pytest.approx(0.1)] * 4 and logged(lab, "reward/share_vanishing") == [1.0] * 4
    assert logged(lab, "optimizer/lr")[-1] == 0.0  # the schedule ends with the run


def test_scores_that_differ_by_rounding_alone_are_no_spread() -> None:
    rounded, other = [0.3, 0.1 + 0.2, 0.3], [0.3, 0.3, 0.30001]
    assert np.std(rounded) > 0
    assert has_spread(np.array([*rounded, *other]), 3).tolist() == [False, True]


def test_where_nothing_is_learned_beta_follows_the_kl_all_the_same(quick_lab: Callable[..., Lab]) -> None:
    """The policy stays at its start, of KL 0 to itself: beta falls by 0.2 x rate behind every iteration."""
    lab = lab_with(quick_lab, "beta", flat, DynamicSampling(max_rounds=1))
    online().run(lab, ppo(kl=AdaptiveKL(initial=0.05, target=6.0, rate=0.5, unit="response")))
    assert logged(lab, "kl_control/beta") == pytest.approx([0.05 * 0.9**count for count in (0, 1, 2)])


def test_of_too_few_prompts_fewer_steps_are_taken_and_the_schedule_goes_on(quick_lab: Callable[..., Lab]) -> None:
    lab = lab_with(quick_lab, "few", flat_for_some, DynamicSampling(max_rounds=1))
    online(minibatch_size=2).run(lab, ppo())
    kept = logged(lab, "sampling/kept")
    assert 0 < sum(kept[:3]) < 12
    assert len(lab.optimizer.build.steps) == sum(2 * number for number in kept[:3])  # two passes, a group at a time
    assert logged(lab, "optimizer/lr")[-1] == 0.0
    assert logged(lab, "rollout/responses") == [8.0] * 4


def test_the_rollout_is_described_by_all_that_was_sampled(quick_lab: Callable[..., Lab]) -> None:
    lab = lab_with(quick_lab, "all", flat_for_some, DynamicSampling(max_rounds=9))
    online(iterations=1).run(lab, ppo())
    first = quick_lab("again", rollout=SIX)
    first = replace(first, task=replace(first.task, reward=flat_for_some))
    drawn = int(4 + logged(lab, "sampling/discarded")[0])
    scores = sampled(drawn).collect(first, Place(iteration=1, position=0)).experience.scores
    assert logged(lab, "reward/mean")[0] == pytest.approx(float(scores.mean()), rel=1e-6)
    assert logged(lab, "reward/share_vanishing")[0] >= logged(lab, "sampling/discarded_share")[0] > 0


# --- the curriculum -----------------------------------------------------------------------------------------------

STDS = np.array([0.0, 0.3, 0.1, 0.3, 0.0, 0.2])
SIX_PROMPTS = [Example(id=str(number), prompt="", targets=()) for number in range(6)]


def taken(order: str, count: int, position: int = 0, seed: int = 0, power: float = 1.0) -> list[int]:
    examples = ByStd(stds=STDS, order=order, power=power)(SIX_PROMPTS, count, seed, position)
    return [int(example.id) for example in examples]


@pytest.mark.parametrize(("order", "sign"), [("descending", -1), ("ascending", 1)])
def test_every_pass_has_each_prompt_once_in_the_order_of_its_std(order: str, sign: int) -> None:
    numbers = taken(order, 60)
    for start in range(0, 60, 6):
        one = numbers[start : start + 6]
        assert sorted(one) == list(range(6))
        assert STDS[one].tolist() == sorted(STDS, key=lambda x: sign * x)
    assert len({tuple(numbers[start : start + 6]) for start in range(0, 60, 6)}) > 1, "ties are never shuffled"
    assert taken(order, 7, position=4) == numbers[4:11]
    assert taken(order, 60, seed=1) != numbers


def test_weighted_prompts_come_in_the_ratio_of_their_stds() -> None:
    shares = np.bincount(taken("weighted", 6000, power=2.0), minlength=6) / 6000
    np.testing.assert_allclose(shares, STDS**2 / (STDS**2).sum(), atol=0.02)
    assert shares[0] == shares[4] == 0.0
    np.testing.assert_allclose(np.bincount(taken("weighted", 6000, power=0.0)) / 6000, 1 / 6, atol=0.02)
    assert taken("weighted", 30)[10:20] == taken("weighted", 10, position=10)


def test_the_std_is_that_of_the_start_policy_and_is_measured_once(quick_lab: Callable[..., Lab]) -> None:
    lab = lab_with(quick_lab, "once", flat_for_some)
    stds = measured(lab, 3)
    even = [len(example.prompt) % 2 == 0 for example in lab.task.splits.train]
    assert (stds > 0).tolist() == even and 0 < sum(even) < 12
    with torch.no_grad():
        for parameter in lab.policy.parameters():
            parameter.zero_()
    assert measured(lab, 3).tolist() == stds.tolist()
    assert logged(lab, "curriculum/responses") == [36.0]
    rows = read_run(lab.session.run.folder).prompts()
    assert rows["prompt_id"].tolist() == [example.id for example in lab.task.splits.train]


def test_the_std_is_that_of_rollouts_and_not_of_looks(quick_lab: Callable[..., Lab]) -> None:
    """Rollouts here take the likeliest token, so no prompt has a spread; a look samples."""
    lab = quick_lab("likeliest", rollout=SIX | {"top_k": 1}, probe=SIX)
    lab = replace(lab, task=replace(lab.task, reward=distinct))
    assert lab.task.probe.top_k == 0
    assert measured(lab, 2).tolist() == [0.0] * 12


def test_a_run_takes_the_prompts_with_the_largest_std_first(quick_lab: Callable[..., Lab]) -> None:
    lab = lab_with(quick_lab, "first", flat_for_some)
    choice = StdCurriculum(order="descending", power=1.0, samples=3)
    collector = choice.collector(lab, sampled(4))
    collected = collector.collect(lab, Place(iteration=1, position=0))
    asked = lab.policy.decode(collected.experience.prompt_ids, collected.experience.prompt_mask)
    order = np.argsort(-measured(lab, 3), kind="stable")[:4]
    assert asked == [lab.task.splits.train[i].prompt for i in order]
    plain = in_passes(lab.task.splits.train, 4, 0, 0)
    assert asked != [example.prompt for example in plain]


@pytest.mark.parametrize(("power", "drawn"), [(1.0, {1, 2, 3, 5}), (0.0, {0, 1, 2, 3, 4, 5})])
def test_prompts_without_spread_are_drawn_with_a_power_of_zero_alone(power: float, drawn: set[int]) -> None:
    assert set(taken("weighted", 400, power=power)) == drawn  # of stds 0, 0.3, 0.1, 0.3, 0, 0.2


def test_weights_of_nothing_but_zero_are_refused(quick_lab: Callable[..., Lab]) -> None:
    lab = lab_with(quick_lab, "zero", flat, StdCurriculum(order="weighted", power=1.0, samples=3))
    with pytest.raises(UserError, match="a reward std of 0 for all 12 train prompts"):
        online().run(lab, ppo())


# --- resume -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choice",
    [
        DynamicSampling(max_rounds=3),
        StdCurriculum(order="descending", power=1.0, samples=3),
        StdCurriculum(order="weighted", power=1.0, samples=3),
    ],
    ids=["dynamic sampling", "sorted", "weighted"],
)
def test_a_resumed_run_chooses_as_the_uninterrupted_one(quick_lab: Callable[..., Lab], choice) -> None:
    loop, algorithm = online(update_epochs=1, microbatch_size=4), ppo()
    whole = lab_with(quick_lab, "whole", flat_for_some, choice)
    final = loop.run(whole, algorithm)
    first = len(whole.optimizer.build.steps)
    assert first > 3
    broken = lab_with(quick_lab, "broken", flat_for_some, choice, watch={"at": 3, "then": die})
    folder = broken.session.run.folder
    run_until(broken, loop, algorithm, Killed)
    saved = checkpoint.latest(folder)
    assert saved is not None and saved[0] >= 1 and saved[1]["position"] >= 4
    resumed = lab_with(quick_lab, "broken", flat_for_some, choice)
    assert loop.run(resumed, algorithm) == final
    assert 0 < len(resumed.optimizer.build.steps) < first
    assert untimed(whole.session.run.folder) == untimed(folder)
    assert responses(whole.session.run.folder) == responses(folder)
    assert read_run(whole.session.run.folder).prompts().equals(read_run(folder).prompts())
    assert_equal(whole.policy.state_dict(), resumed.policy.state_dict())
    lines = list(read_lines(folder / "metrics.jsonl"))
    measured_in = [line["attempt"] for line in lines if "curriculum/responses" in line["metrics"]]
    assert measured_in == ([1] if isinstance(choice, StdCurriculum) else [])
