"""Preference pairs of scored responses: which there are, and that nothing parts them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from scored import scored, with_responses
from toy import examples, ids_of

from rftlab.errors import UserError
from rftlab.loops.collect import Place
from rftlab.loops.lab import Lab
from rftlab.loops.pairs import Pairs, pairs_of, pairs_of_task
from rftlab.loops.update import balanced_minibatches, cut, minibatches
from rftlab.types import ScoredResponse

ONE, TWO = examples(2, "train", "a")


def words(responses: list[ScoredResponse], rule: str, max_tokens: int | None = None) -> list[tuple[str, str]]:
    return [(p.chosen.response, p.rejected.response) for p in pairs_of(responses, rule, max_tokens).pairs]


def test_best_against_worst_is_one_pair_per_prompt() -> None:
    answers = [scored(ONE, text) for text in ("b", "ca", "aa", "cc", "a")]
    assert words([*answers, scored(TWO, "c"), scored(TWO, "b")], "best_worst") == [("aa", "cc"), ("b", "c")]


def test_all_pairs_are_every_two_responses_to_a_prompt_with_different_scores() -> None:
    answers = [scored(ONE, text) for text in ("b", "aa", "c", "bb")]
    found = pairs_of([*answers, scored(TWO, "a")], "all")
    assert words([*answers, scored(TWO, "a")], "all") == [
        ("aa", "b"), ("b", "c"), ("aa", "c"), ("aa", "bb"), ("bb", "c"),
    ]  # fmt: skip
    assert found.left_out == {"of equal scores": 1, "prompts with one response": 1}
    assert found.told("train") == (
        "train: 5 preference pairs; left out: 1 of equal scores, 1 prompts with one response"
    )


@pytest.mark.parametrize("rule", ["best_worst", "all"])
def test_equal_scores_and_identical_texts_are_no_pair(rule: str) -> None:
    assert pairs_of([scored(ONE, "b"), scored(ONE, "bb")], rule).left_out == {"of equal scores": 1}
    rounded = [scored(ONE, "b", score=0.3), scored(ONE, "bb", score=0.1 + 0.2)]
    assert pairs_of(rounded, rule).left_out == {"of equal scores": 1}
    noisy = [scored(ONE, "b", score=1.0), scored(ONE, "b", score=2.0)]
    assert pairs_of(noisy, rule).left_out == {"of identical texts": 1}
    same = [scored(ONE, "b")] * 3
    assert not pairs_of(same, rule).pairs and set(pairs_of(same, rule).left_out) == {"of identical texts"}


def test_responses_over_the_length_limit_are_left_out_and_counted() -> None:
    answers = [scored(ONE, "aaa"), scored(ONE, "c")]
    assert words(answers, "all", max_tokens=4) == [("aaa", "c")]  # three letters and EOS
    found = pairs_of(answers, "all", max_tokens=3)
    assert not found.pairs and found.told("train").endswith("left out: 1 longer than 3 tokens")


def test_prompts_with_the_same_id_but_other_texts_are_apart() -> None:
    other = replace(ONE, prompt=ONE.prompt + "h")
    assert not words([scored(ONE, "a"), scored(other, "c")], "all")


def test_what_was_left_out_is_told_and_no_pair_at_all_is_refused(quick_lab: Callable[..., Lab]) -> None:
    lines: list[str] = []
    lab = quick_lab("told")
    lab = replace(lab, session=replace(lab.session, describe=lines.append))
    without = replace(lab, task=replace(lab.task, responses=None))
    with pytest.raises(UserError, match=r"no scored responses; expected .* change algo.responses.run"):
        pairs_of_task(without, "train", "all")
    equal = replace(lab, task=replace(lab.task, responses={"train": [scored(ONE, "b"), scored(ONE, "bb")]}))
    with pytest.raises(UserError, match="no preference pair among 2 responses"):
        pairs_of_task(equal, "train", "all")
    assert lines == ["train: 0 preference pairs; left out: 1 of equal scores"]
    assert pairs_of_task(equal, "validation", "all") == []


def test_a_collected_pair_is_two_neighbours_the_chosen_first_with_the_ids_that_were_sampled(
    quick_lab: Callable[..., Lab],
) -> None:
    lab = with_responses(quick_lab("collected", rollout={"temperature": 0.5}))
    pairs = pairs_of_task(lab, "train", "all")
    collector = Pairs(pairs=pairs, count=8)
    first, second = (collector.collect(lab, Place(iteration=i, position=8 * (i - 1))) for i in (1, 2))
    rows = first.experience
    assert rows.unit.tolist() == rows.prompt_index.tolist() == [i // 2 for i in range(16)]
    assert (first.prompts, rows.scores, rows.temperature) == (8, None, 0.5)
    known = {(p.example.prompt, p.chosen.response_ids, p.rejected.response_ids) for p in pairs}

    def said(experience: object) -> list[tuple]:
        ids = [tuple(i[m].tolist()) for i, m in zip(experience.response_ids, experience.response_mask, strict=True)]
        asked = lab.policy.decode(experience.prompt_ids, experience.prompt_mask)
        return [(asked[k], ids[2 * k], ids[2 * k + 1]) for k in range(8)]

    assert set(said(rows)) <= known
    assert len({*said(rows), *said(second.experience)}) == 16  # a pass takes every pair once
    longest = [max(len(c), len(r)) for _, c, r in said(rows)]
    assert longest == sorted(longest)


@pytest.mark.parametrize("size", [2, 4, 6])
def test_no_shuffle_and_no_microbatch_parts_a_pair(size: int) -> None:
    unit = torch.arange(9).repeat_interleave(2)
    tokens = torch.arange(1, 19)
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        for parts in (minibatches(unit, size, generator), balanced_minibatches(unit, tokens, 4, generator)):
            order = torch.cat(parts).tolist()
            assert order != sorted(order) and sorted(order) == list(range(18))
            for part in parts:
                for piece in cut(unit[part], 2):
                    chosen, rejected = part[piece].tolist()
                    assert chosen % 2 == 0 and rejected == chosen + 1  # whole, and the chosen response first


def test_a_response_keeps_its_sampled_ids_whatever_its_text_would_be_cut_into(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("ids")
    odd = replace(scored(ONE, "ab"), response_ids=(3, 3, 3))
    pairs = pairs_of([odd, scored(ONE, "c")], "all").pairs
    rows = Pairs(pairs=pairs, count=1).collect(lab, Place(iteration=1, position=0)).experience
    assert rows.response_ids[0][rows.response_mask[0]].tolist() == [3, 3, 3] != ids_of("ab", 6)
