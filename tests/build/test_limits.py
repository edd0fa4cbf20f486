"""Texts beyond the limits of their task are counted, in the tokens of the policy."""

import logging
from dataclasses import replace

import pytest
import torch

from rftlab.build import limits
from rftlab.build.limits import within_limits
from rftlab.errors import UserError
from rftlab.loops.lab import Task
from rftlab.models import Policy, load_policy
from rftlab.types import Example, ScoredText, Splits

LONG, SHORT = "a b c d e f g h", "a b"  # 8 and 2 tokens


def task(prompt: str, target: str, prompt_limit: int, target_limit: int) -> Task:
    rows = [Example(id="0", prompt=prompt, targets=(target, LONG)), Example(id="1", prompt=SHORT, targets=())]
    splits = Splits(train=rows, validation=rows[1:], test=rows, source="bundled")
    return Task(
        name="x",
        splits=splits,
        max_prompt_tokens=prompt_limit,
        truncation_side="left",
        max_target_tokens=target_limit,
        append_eos=True,
        rollout=None,
        probe=None,
        evaluation=None,
        reward=None,
        low_reward=None,
    )


def policy_of(model: str, family: str) -> Policy:
    return load_policy(
        source=f"asset:{model}", family=family, tokenizer="asset:tokenizer", init="pretrained", dtype="float32",
        compute_dtype="float32", hub_mirror=None, generator=torch.Generator(),
    )  # fmt: skip


def told(caplog: pytest.LogCaptureFixture, task: Task, policy: Policy) -> list[str]:
    """Say what a run says of lengths, where nothing is left out."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "rftlab"):
        assert within_limits(task, policy, []) is task
    return [line.removeprefix("longer than the limit of data.prompt or data.target: ") for line in caplog.messages]


@pytest.mark.parametrize(("model", "family", "special"), [("t5_mini", "seq2seq", 1), ("gpt2_mini", "causal", 0)])
def test_a_text_counts_as_cut_if_its_encoding_loses_tokens(
    model: str, family: str, special: int, caplog: pytest.LogCaptureFixture
):
    policy = policy_of(model, family)
    fits = task(LONG, LONG, 8 + special, 9)
    assert not told(caplog, fits, policy)
    tight = replace(fits, max_prompt_tokens=7 + special, max_target_tokens=8)
    assert told(caplog, tight, policy) == [
        "prompts of train 1 of 2, targets of train 1 of 2, prompts of test 1 of 2, targets of test 1 of 2"
    ]


def test_every_text_is_looked_at_up_to_a_number_of_characters(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    policy = policy_of("t5_mini", "seq2seq")
    many = task(LONG, SHORT, 8, 8)
    many = replace(many, splits=replace(many.splits, train=[*many.splits.train] * 250))
    assert told(caplog, many, policy) == ["prompts of train 250 of 500, prompts of test 1 of 2"]
    monkeypatch.setattr(limits, "CHARACTERS", 10 * (len(LONG) + len(SHORT)))
    assert told(caplog, many, policy) == ["prompts of train 10 of the first 20, prompts of test 1 of 2"]


@pytest.mark.parametrize("what", ["prompts", "targets"])
def test_long_rows_are_left_out_where_asked_for_with_what_is_scored_of_them(
    what: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "CHARACTERS", 0)  # then all are looked at
    long = task(*((LONG, SHORT) if what == "prompts" else (SHORT, LONG)), 8, 8)
    first, second = long.splits.train
    responses = {"train": [ScoredText(example=e, response=LONG, score=0.0) for e in (first, second, first)]}
    long = replace(long, splits=replace(long.splits, responses=responses))
    with caplog.at_level(logging.INFO, "rftlab"):
        left = within_limits(long, policy_of("t5_mini", "seq2seq"), [what]).splits
    assert (left.train, left.validation, left.test) == ([second], [second], [second])
    kept = [row.example for row in left.responses["train"]]
    assert kept == ([second] if what == "prompts" else [first, second, first])
    gone = 2 if what == "prompts" else 0
    assert (
        caplog.messages[-1]
        == f"left out by drop_long: rows of train 1, validation 0, test 1; responses of train {gone}"
    )


def test_a_split_of_which_nothing_is_left_is_refused():
    long = task(LONG, SHORT, 1, 8)
    found = r"data\.prompt\.drop_long=true: no row of split 'train' is left; .*; change data\.prompt\.max_tokens"
    with pytest.raises(UserError, match=found):
        within_limits(long, policy_of("t5_mini", "seq2seq"), ["prompts"])
