"""Runs whose responses end at a text: what is scored, what is learned, what is counted."""

from collections.abc import Callable
from dataclasses import replace

from rftlab.loops.collect import Place, Sampled
from rftlab.loops.evaluation import answer, places_of
from rftlab.loops.lab import Lab


def stopped(lab: Lab, *stop: str) -> Lab:
    return replace(lab, task=replace(lab.task, stop=stop))


def test_a_rollout_scores_and_keeps_what_stands_before_the_stop(quick_lab: Callable[..., Lab]) -> None:
    sampled = Sampled(prompts=6, tokens=None, samples_per_prompt=4, unit="row")
    plain, cut = quick_lab("plain"), stopped(quick_lab("cut"), "b", "cd")
    whole, part = (sampled.collect(lab, Place(iteration=1, position=0)) for lab in (plain, cut))
    texts = cut.policy.decode(part.experience.response_ids, part.experience.response_mask)
    before = plain.policy.decode(whole.experience.response_ids, whole.experience.response_mask)
    assert any("b" in text for text in before) and any(one != other for one, other in zip(texts, before, strict=True))
    for text, full in zip(texts, before, strict=True):
        assert full.startswith(text) and "b" not in text[:-1] and "cd" not in text[:-1]
    (call,) = cut.task.reward.calls
    assert not any("b" in text or "cd" in text for text in call.responses)
    assert len(call.responses) == 24 and part.metrics["rollout/truncated"] <= whole.metrics["rollout/truncated"]


def test_an_evaluation_counts_the_tokens_that_are_left(quick_lab: Callable[..., Lab]) -> None:
    examples = list(quick_lab("data").task.splits.train)[:6]
    plain, cut = quick_lab("plain"), stopped(quick_lab("cut"), "a", "b", "c", "d")
    whole, part = (answer(lab, examples, places_of(examples), lab.task.rollout, 2) for lab in (plain, cut))
    assert sum(part.lengths) < sum(whole.lengths) and min(part.lengths) >= 1
    assert not any(set("abcd") & set(text) for text in part.texts)
