"""The end that prompts share is never cut, whatever the side; the released code of APA cuts posts like that."""

from collections.abc import Callable

import pytest

from rftlab.models import Policy
from rftlab.models.reward_model import Reading

MARK = "\nTL;DR:"


@pytest.mark.parametrize("model", ["tiny_gpt2", "tiny_t5"])
@pytest.mark.parametrize(("side", "body"), [("right", "abc"), ("left", "fgh")])
def test_the_text_before_the_end_is_cut(request: pytest.FixtureRequest, model: str, side: str, body: str) -> None:
    policy: Policy = request.getfixturevalue(model)()
    room = len(MARK) + 3 + (policy.family == "seq2seq")  # one token per byte, and EOS
    ids, mask = policy.encode_prompts([f"abcdefgh{MARK}", f"ab{MARK}", "abcdefghijklmnop"], room, side, MARK)
    other = "abcdefghij" if side == "right" else "ghijklmnop"  # of a prompt without that end
    assert policy.decode(ids, mask) == [f"{body}{MARK}", f"ab{MARK}", other]


def test_an_end_that_is_too_long_itself_keeps_its_last_tokens(tiny_gpt2: Callable[..., Policy]) -> None:
    policy = tiny_gpt2()
    assert policy.decode(*policy.encode_prompts([f"abc{MARK}"], 3, "right", MARK)) == ["DR:"]


def test_the_rule_of_the_released_code(tiny_gpt2: Callable[..., Policy]) -> None:
    """There: the text before "TL;DR:" cut to 500 - 5 tokens, then the mark, which has 5 tokens in GPT-2."""
    policy = tiny_gpt2()
    tokens = len(MARK)
    (text,) = policy.decode(*policy.encode_prompts([f"{'x' * 600}{MARK}"], 500, "right", MARK))
    assert text == "x" * (500 - tokens) + MARK


def test_a_reward_model_reads_prompts_in_the_same_way() -> None:
    assert Reading(max_prompt_tokens=1, truncation_side="right", max_response_tokens=1).prompt_ending is None
