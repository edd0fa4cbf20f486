"""Responses that a dataset brings, as the loops that do not sample learn them."""

from collections.abc import Callable
from dataclasses import replace

from rftlab.loops.lab import Lab
from rftlab.loops.offline import shortened
from rftlab.types import Example, ScoredResponse


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
