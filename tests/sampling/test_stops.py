"""Stop strings: where a response ends, what of it is scored, and what stays as it was."""

from collections.abc import Callable

import pytest
import torch

from rftlab.models import Policy
from rftlab.models.text import pad, token_ids
from rftlab.sampling.stops import cut_text, end_at_stops
from rftlab.types import Responses

STOPS = ("Human:", "AI:")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" fine \n\nHuman: and", " fine"),
        (" AI: Human: x", ""),
        ("Human", "Human"),
        (" open end ", " open end "),  # nothing is stripped where nothing ends it
        ("x Human: AI:", "x"),
    ],
)
def test_a_text_is_cut_where_the_first_stop_string_begins(text: str, kept: str) -> None:
    assert cut_text(text, STOPS) == kept
    assert cut_text(text, ()) == text


def responses(policy: Policy, texts: list[str]) -> Responses:
    ids, mask = pad([token_ids(policy.tokenizer, text) for text in texts], policy.pad_id, "right")
    numbers = torch.arange(1.0, ids.numel() + 1).view(ids.shape)
    return Responses(
        response_ids=ids,
        response_mask=mask,
        logprobs=-numbers.where(mask, 0.0),
        kept_mass=torch.ones(ids.shape),
        truncated=torch.ones(len(ids), dtype=torch.bool),
        prompt_index=torch.arange(len(ids)),
    )


def test_a_response_ends_with_the_token_that_completes_the_first_stop_string(tiny_gpt2: Callable[..., Policy]) -> None:
    policy = tiny_gpt2()
    texts = ["so. Human: why AI:", "no end", "AI:", "é Human"]
    before = responses(policy, texts)
    after = end_at_stops(policy, before, STOPS)
    assert policy.decode(after.response_ids, after.response_mask) == ["so. Human:", "no end", "AI:", "é Human"]
    assert after.truncated.tolist() == [False, True, False, True]
    kept = after.response_mask
    assert torch.equal(after.response_ids[kept], before.response_ids[kept])
    assert torch.equal(after.logprobs[kept], before.logprobs[kept])
    assert (after.response_ids[~kept] == policy.pad_id).all() and not after.logprobs[~kept].any()
    assert end_at_stops(policy, before, ()) is before
