"""Scored responses that rows bring, as a run that learns from them gets them."""

from collections.abc import Callable
from typing import Any

import pytest

from rftlab.build.responses import responses_of_rows
from rftlab.errors import UserError
from rftlab.models import Policy
from rftlab.types import Example, ScoredText, Splits

EXAMPLE = Example(id="a", prompt="p", targets=())


def config(run: str | None = None, responses: bool = True, append_eos: bool = True) -> dict[str, Any]:
    return {
        "algo": {"name": "dpo", "responses": {"run": run, "parent": None}},
        "data": {"name": "mine", "responses": responses, "target": {"append_eos": append_eos}},
    }


def splits(**responses: Any) -> Splits:
    return Splits(train=[EXAMPLE], validation=[], test=[], source="file", responses=responses)


def test_ids_are_those_of_the_tokenizer_of_the_policy_with_eos_as_gold_texts_have_it(
    tiny_gpt2: Callable[..., Policy],
) -> None:
    policy = tiny_gpt2()
    rows = splits(
        train=[ScoredText(example=EXAMPLE, response=text, score=score) for text, score in (("ab", 2.5), ("", 0.0))]
    )
    found = responses_of_rows(config(), rows, policy)
    assert found is not None
    first, empty = found["train"]
    plain = policy.tokenizer("ab", add_special_tokens=False)["input_ids"]
    assert (first.response_ids, first.response, first.score) == ((*plain, policy.eos_id), "ab", 2.5)
    assert (empty.response_ids, first.example) == ((policy.eos_id,), EXAMPLE)
    without = responses_of_rows(config(append_eos=False), rows, policy)
    assert without is not None and without["train"][0].response_ids == tuple(plain)


def test_a_run_key_and_data_responses_false_take_sampled_ones(tiny_gpt2: Callable[..., Policy]) -> None:
    for said in (config(run="0123456789ab"), config(responses=False), {"algo": {"name": "ppo"}, "data": {}}):
        assert responses_of_rows(said, splits(), tiny_gpt2()) is None


def test_rows_that_bring_none_are_refused(tiny_gpt2: Callable[..., Policy]) -> None:
    with pytest.raises(
        UserError, match=r"algo=dpo with data=mine, whose rows bring no responses.*data\.responses=false"
    ):
        responses_of_rows(config(), splits(train=[]), tiny_gpt2())
