"""Learning from scored responses: which rows, what is asked of the networks once, and what a run says of itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from losses import apa, awr, ilql, offline
from safetensors.torch import load_file
from toy import MAX_NEW, TEMPERATURE, ids_of, logged, plain_logprobs, scored_responses

from rftlab.errors import UserError
from rftlab.loops.collect import Place
from rftlab.loops.evaluation import SPLITS, encode, places_of, subset
from rftlab.loops.experience import Schedule, start
from rftlab.loops.lab import Lab
from rftlab.loops.networks import NetworkSet, Numerics
from rftlab.loops.scored import Scored, standardised
from rftlab.loops.update import minibatches_of
from rftlab.models import Policy, freeze_below
from rftlab.sampling.sample import generate
from rftlab.streams import row_noise
from rftlab.types import Algorithm, Experience, ScoredResponse


def with_responses(lab: Lab, rows: Sequence[ScoredResponse]) -> Lab:
    return replace(lab, task=replace(lab.task, responses={"train": rows}))


def collector(rows: Sequence[ScoredResponse], size: int = 4) -> Scored:
    return Scored(rows=rows, scores=np.array([row.score for row in rows]), size=size)


def networks(lab: Lab, algorithm: Algorithm) -> NetworkSet:
    schedule = Schedule(
        word="step",
        iterations=1,
        samples_per_prompt=1,
        update_epochs=1,
        cut=minibatches_of(1),
        numerics=Numerics(microbatch_size=3),
        steps=1,
        trimmed=True,
    )
    return start(lab, algorithm, schedule).networks


def row_ids(experience: Experience) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    prompts = experience.prompt_ids[experience.prompt_index], experience.prompt_mask[experience.prompt_index]
    both = zip(*prompts, experience.response_ids, experience.response_mask, strict=True)
    return [(tuple(p[m].tolist()), tuple(r[k].tolist())) for p, m, r, k in both]


# --- rows ---------------------------------------------------------------------------------------------------------


def test_each_pass_takes_every_row_once_in_another_order(quick_lab: Callable[..., Lab]) -> None:
    lab, rows = quick_lab("run"), scored_responses()
    source = collector(rows)
    taken = [row_ids(source.collect(lab, Place(iteration=1, position=p)).experience) for p in range(0, 48, 4)]
    first, second = list(chain(*taken[:6])), list(chain(*taken[6:]))
    assert sorted(first) == sorted(second) and len(first) == len(rows)
    assert first != second and len(set(first)) == len({(row.example.prompt, row.response) for row in rows})


def test_rows_are_the_ids_that_were_sampled_with_their_scores(quick_lab: Callable[..., Lab]) -> None:
    lab, rows = quick_lab("run"), scored_responses()
    odd = [replace(row, response="another text") for row in rows]  # which is never read back
    experience = collector(odd, size=24).collect(lab, Place(iteration=1, position=0)).experience
    found = {(*row, score) for row, score in zip(row_ids(experience), experience.scores.tolist(), strict=True)}
    expected = {(tuple(ids_of(row.example.prompt, 99)[:-1]), row.response_ids, np.float32(row.score)) for row in rows}
    assert found == expected
    assert experience.temperature == TEMPERATURE


def test_scores_are_standardised_over_the_whole_dataset_and_degenerate_ones_are_refused() -> None:
    scores = standardised(np.array([3.0, 5.0, 10.0, 0.5]))
    assert (scores.mean(), scores.std()) == pytest.approx((0.0, 1.0))
    with pytest.raises(UserError, match=r"5 scored responses with the score 0\.7 each"):
        standardised(np.full(5, 0.7))


def test_an_empty_response_is_skipped_safely(quick_lab: Callable[..., Lab]) -> None:
    rows = [replace(row, response_ids=()) if i % 2 else row for i, row in enumerate(scored_responses())]
    lab = with_responses(quick_lab("run"), rows)
    final = offline(steps=8).run(lab, apa())
    assert all(np.isfinite(value) for value in final.values())
    all_empty = with_responses(quick_lab("empty"), [replace(row, response_ids=()) for row in rows])
    before = {name: value.clone() for name, value in all_empty.policy.state_dict().items()}
    offline(steps=2).run(all_empty, apa())
    assert all(value.isfinite().all() for value in all_empty.policy.state_dict().values())
    assert before.keys() == all_empty.policy.state_dict().keys()


# --- columns of the start -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_columns_of_the_start_are_those_of_the_start_whatever_has_been_learned(
    quick_lab: Callable[..., Lab], make_policy: Callable[[str], object], family: str
) -> None:
    lab, rows = quick_lab("run", family=family), scored_responses()
    source, made = collector(rows, size=24), networks(quick_lab("other", family=family), apa())
    source.annotate_once(lab, made)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.5)
    experience = made.annotate(source.collect(lab, Place(iteration=1, position=0)).experience)
    policy = make_policy(family).requires_grad_(False)
    for name in ("old_logprobs", "ref_logprobs"):
        sums = sorted(float(x) for x in experience[name].sum(1))
        whole = sorted(float(plain_logprobs(policy, r.example.prompt, r.response_ids, TEMPERATURE).sum()) for r in rows)
        assert sums == pytest.approx(whole, abs=1e-3), name
    fresh = made.annotate(collector(rows, size=24).collect(lab, Place(iteration=1, position=0)).experience)
    assert not torch.allclose(fresh["values"], experience["values"], atol=0.1)


@pytest.mark.parametrize(("values", "constant"), [("once", True), ("refreshed", False)])
def test_raw_advantages_are_constant_for_the_run_only_where_values_are_asked_once(
    quick_lab: Callable[..., Lab], values: str, constant: bool
) -> None:
    lab = quick_lab("run")
    offline(steps=3, batch_size=24, microbatch_size=8, values=values).run(lab, awr())  # all rows in each step
    stds = logged(lab, "advantage/std_raw")
    assert len(stds) == 3
    assert (stds == pytest.approx([stds[0]] * 3, rel=1e-4)) == constant


# --- runs ---------------------------------------------------------------------------------------------------------


def test_the_reward_is_asked_in_evaluations_alone(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("run")
    final = offline(steps=4).run(lab, awr())
    assert {"eval/test/reward", "probe/reward_mean"} <= final.keys()
    assert "reward/mean" not in final and not logged(lab, "reward/mean")
    assert not lab.task.reward.rollouts


def test_likely_responses_of_high_score_become_likelier(quick_lab: Callable[..., Lab]) -> None:
    rows = [replace(row, score=float(row.response == "bad")) for row in scored_responses()]
    lab = with_responses(quick_lab("run", lr=5e-3), rows)
    before = {word: likelihood(lab, word) for word in ("bad", "hh")}
    offline(steps=30, batch_size=12, microbatch_size=12).run(lab, awr(value_coef=0.0, lam=0.5))
    gained = {word: likelihood(lab, word) - before[word] for word in before}
    assert gained["bad"] > gained["hh"] + 0.5


def likelihood(lab: Lab, word: str) -> float:
    with torch.no_grad():
        return float(plain_logprobs(lab.policy, "abc", ids_of(word, MAX_NEW), TEMPERATURE).sum())


@pytest.mark.parametrize("responses", [None, {}, {"train": [], "validation": scored_responses()}])
def test_a_run_without_responses_is_refused(quick_lab: Callable[..., Lab], responses: dict | None) -> None:
    lab = quick_lab("run")
    with pytest.raises(UserError, match=r"algo\.responses\.run"):
        offline().run(replace(lab, task=replace(lab.task, responses=responses)), awr())


@pytest.mark.parametrize(("family", "algorithm"), [("causal", awr()), ("seq2seq", apa())])
def test_evaluations_tell_the_kl_to_the_start_on_responses_of_the_policy_itself(
    quick_lab: Callable[..., Lab], make_policy: Callable[..., Policy], family: str, algorithm: Algorithm
) -> None:
    lab = quick_lab(
        "run", family=family, evaluation={"sizes": dict.fromkeys(SPLITS, 4), "batch_size": 3, "probe_prompts": 2}
    )
    final = offline(steps=2).run(lab, algorithm)
    first, *_, last = logged(lab, "policy/kl")
    assert first == pytest.approx(0.0, abs=1e-4) and abs(last) > 1e-3
    assert final["policy/kl"] == last
    examples, rollout = subset(lab.task.splits.validation, 4, "validation"), lab.task.rollout
    noise = row_noise(0, "drift", places=places_of(examples), samples=1, steps=MAX_NEW)
    said = generate(lab.policy, *encode(lab, examples), rollout, 1, noise)
    rows = zip(examples, said.response_ids, said.response_mask, strict=True)
    sums = []
    with torch.no_grad():
        for example, ids, mask in rows:
            row = example.prompt, ids[mask].tolist(), TEMPERATURE
            sums.append(float((plain_logprobs(lab.policy, *row) - plain_logprobs(make_policy(family), *row)).sum()))
    assert last == pytest.approx(sum(sums) / 4, abs=1e-3)
    assert final["policy/kl_token"] == pytest.approx(sum(sums) / int(said.response_mask.sum()), abs=1e-3)


@pytest.mark.parametrize("algorithm", [apa, awr])
def test_what_is_asked_once_is_the_same_above_a_frozen_trunk_whose_states_are_not_kept(
    quick_lab: Callable[..., Lab], algorithm: Callable[[], Algorithm]
) -> None:
    lab, rows = quick_lab("run"), scored_responses()
    freeze_below(lab.policy, 1)
    known = []
    for share in (True, False):
        source, made = collector(rows), networks(replace(lab, share_trunk=share), algorithm())
        source.annotate_once(lab, made)
        assert source.known.keys() == made.asked and made.asked
        assert [len(x) for x in source.known["values"]] == [len(row.response_ids) for row in rows]
        known.append(source.known)
    for name, columns in known[0].items():
        torch.testing.assert_close(torch.cat(columns), torch.cat(known[1][name]))


# --- ILQL ---------------------------------------------------------------------------------------------------------


def test_each_weight_of_decoding_is_evaluated_for_itself_and_heads_lie_beside_the_policy(
    quick_lab: Callable[..., Lab],
) -> None:
    lab = quick_lab("run")
    final = offline(steps=4, values="refreshed").run(lab, ilql())
    for split in ("train", "validation", "test"):
        assert {f"eval/{split}/reward{shift}" for shift in ("", "_b1", "_b4")} <= final.keys()
    folder = lab.session.run.folder / "final"
    policy, heads = (load_file(folder / f"{name}.safetensors") for name in ("model", "heads"))
    assert policy.keys() <= lab.policy.lm.state_dict().keys()
    fast, slow = heads["q_1.last.weight"], heads["copy_1.last.weight"]
    assert fast.shape == slow.shape and not torch.equal(fast, slow)
    start = quick_lab("other")
    made = networks(start, ilql()).heads
    moved = {name: (heads[name] - made.state_dict()[name]).abs().max() for name in heads}
    assert all(value > 0 for value in moved.values())
    assert moved["copy_1.last.weight"] < moved["q_1.last.weight"]


def test_the_policy_of_ilql_is_cloned_from_the_responses(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("run", lr=5e-3)
    before = likelihood(lab, "bad")
    offline(steps=20, values="refreshed", batch_size=8, microbatch_size=8).run(lab, ilql())
    assert likelihood(lab, "bad") > before + 1.0
    losses = logged(lab, "policy/loss")
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_values_of_a_token_are_read_where_it_is_predicted(quick_lab: Callable[..., Lab], family: str) -> None:
    """Another third token changes Q of that token, and what is said from the fourth on, but no earlier value."""
    lab = quick_lab("run", family=family)
    made = networks(lab, ilql())
    row = scored_responses()[2]
    other = replace(row, response_ids=(*row.response_ids[:2], 7, *row.response_ids[3:]))
    said = []
    for one in (row, other):
        experience = collector([one], size=1).collect(lab, Place(iteration=1, position=0)).experience
        said.append(made(experience, "none").action_values)
    before, after = said
    assert len(row.response_ids) >= 5 and row.response_ids[2] != 7
    torch.testing.assert_close(before.v[:, :3], after.v[:, :3])
    torch.testing.assert_close(before.target_q[:, :2], after.target_q[:, :2])
    assert (before.v[:, 3:] != after.v[:, 3:]).all() and before.target_q[0, 2] != after.target_q[0, 2]
