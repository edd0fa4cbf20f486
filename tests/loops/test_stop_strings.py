"""Runs whose responses end at stop strings: what is scored, and what is learned."""

from collections.abc import Callable
from dataclasses import replace

from rftlab.loops.collect import Place, Sampled
from rftlab.loops.evaluation import answer, places_of
from rftlab.loops.lab import Lab
from rftlab.loops.offline import shortened
from rftlab.types import Example, ScoredResponse

STOP = "d"


def test_rollouts_and_evaluations_end_at_stop_strings(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("run")
    free = replace(lab, task=replace(lab.task, stop=()))
    lab = replace(lab, task=replace(lab.task, stop=(STOP,)))
    examples = list(lab.task.splits.train)
    rollout = lab.task.rollout
    assert rollout is not None
    texts = {
        name: answer(which, examples, places_of(examples), rollout, 4, "test").texts
        for name, which in (("stopped", lab), ("free", free))
    }
    assert any(STOP in text for text in texts["free"])
    assert texts["stopped"] == [text.split(STOP)[0].rstrip() for text in texts["free"]]


def test_what_is_behind_a_stop_string_is_not_learned(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("run")
    lab = replace(lab, task=replace(lab.task, stop=(STOP,)))
    sampled = Sampled(prompts=12, tokens=None, samples_per_prompt=16, unit="row")
    _, _, responses = sampled.round(lab, 0, 12)
    found = lab.policy.decode(responses.response_ids, responses.response_mask)
    assert any(text.endswith(STOP) for text in found)  # the string itself is an action
    assert all(STOP not in text[:-1] for text in found)
    ended = [text.endswith(STOP) for text in found]
    assert not (responses.truncated.cpu().numpy() & ended).any()
    experience = sampled.collect(lab, Place(position=0, iteration=1)).experience
    assert experience.response_mask.sum() == responses.response_mask.sum()


def test_responses_of_a_dataset_are_learned_up_to_the_length_of_a_rollout(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("run")
    assert lab.task.rollout is not None
    said: list[str] = []
    lab = replace(lab, session=replace(lab.session, describe=said.append))
    most, example = lab.task.rollout.max_new_tokens, Example(id="a", prompt="a", targets=())
    rows = [
        ScoredResponse(example=example, response="", response_ids=tuple(range(count)), score=0.0)
        for count in (most, most + 3)
    ]
    assert [row.response_ids for row in shortened(lab, rows)] == [tuple(range(most))] * 2
    assert said == [f"1 of 2 responses have more than {most} tokens: their beginning is learned"]
