"""Texts beyond the limits of their task are counted, in the tokens of the policy."""

import logging
from dataclasses import replace

import pytest
import torch

from rftlab.build.limits import cut, tell_cut
from rftlab.loops.lab import Task
from rftlab.models import load_policy
from rftlab.types import Example, Splits

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


@pytest.mark.parametrize(("model", "family", "special"), [("t5_mini", "seq2seq", 1), ("gpt2_mini", "causal", 0)])
def test_a_text_counts_as_cut_if_its_encoding_loses_tokens(model: str, family: str, special: int):
    policy = load_policy(
        source=f"asset:{model}", family=family, tokenizer="asset:tokenizer", init="pretrained", dtype="float32",
        compute_dtype="float32", hub_mirror=None, generator=torch.Generator(),
    )  # fmt: skip
    fits = task(LONG, LONG, 8 + special, 9)
    assert not any(count for _, _, count in cut(fits, policy))
    tight = replace(fits, max_prompt_tokens=7 + special, max_target_tokens=8)
    assert [found for found in cut(tight, policy) if found[2]] == [
        ("prompts", "train", 1), ("targets", "train", 1), ("prompts", "test", 1), ("targets", "test", 1),
    ]  # fmt: skip


def test_a_run_says_it_in_one_line_or_not_at_all(caplog: pytest.LogCaptureFixture):
    policy = load_policy(
        source="asset:t5_mini", family="seq2seq", tokenizer="asset:tokenizer", init="pretrained", dtype="float32",
        compute_dtype="float32", hub_mirror=None, generator=torch.Generator(),
    )  # fmt: skip
    with caplog.at_level(logging.INFO, "rftlab"):
        tell_cut(task(SHORT, SHORT, 8, 8), policy)
        assert not caplog.messages
        tell_cut(task(LONG, SHORT, 8, 8), policy)
    (line,) = caplog.messages
    assert line.endswith("of the first 200 of each split: prompts of train 1, prompts of test 1")
