"""Budgets in tokens: optimiser steps are known beforehand, whole responses fill the rollout, no prompt is left out."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses import in_tokens, online, ppo
from test_seams import Noting
from toy import logged

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.loops.collect import first_rows
from rftlab.loops.draw import draw
from rftlab.loops.lab import Lab
from rftlab.loops.online import Online
from rftlab.loops.update import balanced_cut, balanced_minibatches
from rftlab.sampling.sample import joined
from rftlab.types import Responses

BUDGET, PART = 24, 12  # response tokens of a rollout and of a minibatch; a response has 6 at most


# --- minibatches --------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(1, 12))
def test_a_cut_has_the_parts_that_were_asked_for_and_each_is_near_its_share(data, count, longest):
    weights = data.draw(st.lists(st.integers(1, longest), min_size=1, max_size=60))
    while sum(weights) < count * longest:  # what composition sees to: a part holds the longest unit
        weights.append(longest)
    parts = balanced_cut(weights, count)
    assert len(parts) == count
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(len(weights)))
    for part in parts:
        assert part.stop > part.start, "an empty minibatch"
        assert abs(sum(weights[part]) - sum(weights) / count) <= longest


def test_fewer_units_than_minibatches_are_no_silent_repair():
    with pytest.raises(ValueError, match="2 units cannot be cut into 3"):
        balanced_cut([5, 5], 3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=3, max_size=9), st.integers(1, 3), st.integers(0, 99))
def test_balanced_minibatches_take_every_row_once_and_part_no_unit(sizes, count, seed):
    unit = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    tokens = 1 + torch.arange(len(unit)) % 5
    parts = balanced_minibatches(unit, tokens, count, torch.Generator().manual_seed(seed))
    assert len(parts) == count
    assert sorted(torch.cat(parts).tolist()) == list(range(len(unit)))
    owner = {number: i for i, part in enumerate(parts) for number in unit[part].tolist()}
    assert all(owner[number] == i for i, part in enumerate(parts) for number in unit[part].tolist())


# --- rollouts -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["row", "group"])
def noted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lab_in: Callable[..., Lab]):
    """Train in tokens, and keep what the loop handed over: rollouts, minibatches and the lab."""
    noting = Noting(unit=request.param)
    lab = lab_in(tmp_path_factory.mktemp(request.param) / "run")
    in_tokens(update_epochs=2, microbatch_size=64).run(lab, noting)
    return noting, lab


def test_the_number_of_optimiser_steps_is_the_one_that_the_schedule_was_made_for(noted) -> None:
    noting, lab = noted
    steps = 3 * 2 * (BUDGET // PART)  # iterations x update epochs x minibatches
    assert len(lab.optimizer.build.steps) == len(noting.microbatches) == steps
    assert lab.optimizer.build.steps[-1].lr == 0.0  # the cosine ends with the last step


def test_the_first_prompts_that_fill_the_budget_are_kept_whole(noted) -> None:
    for rollout in noted[0].rollouts:
        lengths = rollout.response_mask.sum(1)
        assert int(lengths[:-2].sum()) < BUDGET <= int(lengths.sum())  # two responses to each prompt
        assert rollout.prompt_index.tolist() == [i // 2 for i in range(len(lengths))]
        assert rollout.response_mask.any(0).all(), "wider than its longest response"


def test_every_pass_goes_over_the_whole_rollout_in_minibatches_of_equal_tokens(noted) -> None:
    noting, _ = noted
    longest = 6 if noting.unit == "row" else 12
    passes = [noting.microbatches[i : i + 2] for i in range(0, len(noting.microbatches), 2)]
    for number, minibatches in enumerate(passes):
        rows = torch.cat([batch["number"] for batch, _ in minibatches])
        assert sorted(rows.tolist()) == list(range(len(noting.rollouts[number // 2].unit)))
        tokens = [totals.tokens for _, totals in minibatches]
        assert abs(tokens[0] - tokens[1]) <= 2 * longest


def test_prompts_come_in_the_order_of_the_run_and_none_is_left_out(noted) -> None:
    """The prompts that a round drew too many are the first of the next iteration."""
    noting, lab = noted
    asked = [text for rollout in noting.rollouts for text in prompts_of(lab, rollout)]
    order = draw(lab.task.splits.train, len(asked), lab.session.seed, 0)
    assert asked == [example.prompt for example, _ in order]
    assert len(asked) > len(noting.rollouts) * (BUDGET // 12)  # short responses: more than one round


def prompts_of(lab: Lab, rollout) -> list[str]:
    return lab.policy.decode(rollout.prompt_ids, rollout.prompt_mask)


def test_rows_and_tokens_draw_the_same_prompts_where_all_responses_are_as_long(quick_lab: Callable[..., Lab]) -> None:
    """With responses of six tokens 48 tokens are the eight responses of four prompts."""
    seen = []
    for name, loop in (("rows", online()), ("tokens", whole_rows())):
        lab = quick_lab(name, rollout={"min_new_tokens": 6})
        loop.run(lab, ppo(whiten_advantages="rollout"))
        seen.append([(call.prompts, call.responses) for call in lab.task.reward.rollouts])
    assert seen[0][0] == seen[1][0]
    assert [prompts for prompts, _ in seen[0]] == [prompts for prompts, _ in seen[1]]


def whole_rows() -> Online:
    return in_tokens(tokens_per_iteration=48, minibatch_tokens=24, update_epochs=2, microbatch_size=2)


# --- rounds -------------------------------------------------------------------------------------------------------


def responses(lengths: list[int], first: int) -> Responses:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    ids = torch.arange(first, first + mask.numel()).view(mask.shape) * mask
    numbers = ids.float()
    index = torch.arange(len(lengths) // 2).repeat_interleave(2)
    row = {"logprobs": numbers, "kept_mass": numbers, "truncated": mask.sum(1) > 1, "prompt_index": index}
    return Responses(response_ids=ids, response_mask=mask, **row)


def test_rounds_stand_below_each_other_and_the_first_rows_of_them_stay_as_they_were():
    one, other = responses([2, 1], 1), responses([3, 1, 1, 2], 100)
    both = joined([one, other], pad_id=0)
    assert both.response_mask.sum(1).tolist() == [2, 1, 3, 1, 1, 2]
    assert both.prompt_index.tolist() == [0, 0, 1, 1, 2, 2]
    assert both.response_ids[2:].tolist() == other.response_ids.tolist()
    kept = first_rows(both, 2)
    for name in vars(one):
        assert getattr(kept, name).tolist() == getattr(one, name).tolist(), name


# --- the unit of the KL target ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "moves"), [("response", 0.2), ("token", -0.2)])
def test_beta_answers_to_the_kl_in_the_unit_of_its_target(
    quick_lab: Callable[..., Lab], unit: str, moves: float
) -> None:
    """The target lies between the KL per token and the KL per response of the second rollout."""
    free = quick_lab("free")
    in_tokens(iterations=2).run(free, ppo(kl=AdaptiveKL(initial=0.5, target=None, rate=1.0, unit=unit)))
    response, token = (logged(free, name)[1] for name in ("policy/kl", "policy/kl_token"))
    assert response > 2.0 * token > 0.0
    lab = quick_lab(unit)
    target = (response * token) ** 0.5
    in_tokens().run(lab, ppo(kl=AdaptiveKL(initial=0.5, target=target, rate=1.0, unit=unit)))
    assert logged(lab, "policy/kl")[1] == response  # the first rollout pays no penalty, whatever beta is
    first, second, third = logged(lab, "kl_control/beta")
    assert second == pytest.approx(0.8 * first)
    assert third == pytest.approx((1.0 + moves) * second)
