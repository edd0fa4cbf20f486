"""Responses that a dataset brings, as the loops that do not sample learn them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from losses import awr, offline
from toy import shared_letters

from rftlab.loops import offline as loop
from rftlab.loops.lab import Lab
from rftlab.loops.offline import rescored, shortened
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


def given(texts: list[str], score: float = 7.0) -> list[ScoredResponse]:
    example = Example(id="a", prompt="abc", targets=("d",))
    return [ScoredResponse(example=example, response=text, response_ids=(3, 1), score=score) for text in texts]


def test_responses_of_rows_are_scored_by_the_reward_in_their_order(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("run")
    texts = ["ab", "", "dh", "hh", "ab", "abcd", "e"]  # an empty one, and one twice
    lab = replace(lab, evaluation=replace(lab.evaluation, batch_size=3))
    found = rescored(lab, given(texts))
    expected = shared_letters(["abc"] * 7, texts, [("d",)] * 7)
    np.testing.assert_array_equal([row.score for row in found], expected)
    assert [row.response for row in found] == texts
    assert [len(call.responses) for call in lab.task.reward.calls] == [3, 3, 1]


class Taken(Exception):
    """Ends a run that has said what it learns."""


@pytest.mark.parametrize("scores", ["given", "reward"])
def test_an_offline_run_learns_the_scores_that_it_is_told_to(
    quick_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, scores: str
) -> None:
    texts = ["ab", "dh", "hh", "e"]
    rows = [replace(row, score=float(number)) for number, row in enumerate(given(texts))]
    lab = quick_lab("run")
    lab = replace(lab, task=replace(lab.task, responses={"train": rows}))

    def taken(**values: object) -> None:
        raise Taken(values["scores"])

    monkeypatch.setattr(loop, "Scored", taken)
    own = [0.0, 1.0, 2.0, 3.0] if scores == "given" else shared_letters(["abc"] * 4, texts, [("d",)] * 4)
    for standardise in (False, True):
        with pytest.raises(Taken) as caught:
            offline(standardise_scores=standardise, scores=scores).run(lab, awr())
        expected = (np.array(own) - np.mean(own)) / np.std(own) if standardise else own
        np.testing.assert_allclose(caught.value.args[0], expected)
