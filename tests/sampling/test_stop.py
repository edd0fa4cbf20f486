"""Responses that end at a text: the token that completes it is the last one, and nothing else changes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from rftlab.models import Policy
from rftlab.sampling.sample import beam_search, sample
from rftlab.sampling.stop import cut_at, text_before
from rftlab.streams import row_noise
from rftlab.types import BeamSearch, Responses, Sampling

SAMPLING = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=0, max_new_tokens=24)


def responses_of(policy: Policy, *texts: str, eos: bool) -> Responses:
    ids, mask = policy.encode_targets(texts, 64, eos)
    logprobs = -torch.rand(mask.shape).masked_fill(~mask, 0.0)
    return Responses(
        response_ids=ids, response_mask=mask, logprobs=logprobs, kept_mass=torch.ones_like(logprobs),
        truncated=torch.tensor([not eos] * len(texts)), prompt_index=torch.arange(len(texts)),
    )  # fmt: skip


@pytest.fixture(params=["t5", "gpt2", "llama"])
def policy(request: pytest.FixtureRequest) -> Policy:
    return request.getfixturevalue(f"tiny_{request.param}")()


@pytest.mark.parametrize("eos", [True, False])
def test_the_token_that_completes_a_stop_is_the_last_one(policy: Policy, eos: bool) -> None:
    texts = ("yes.\nno", "a Human: b Assistant: c", "never", "Human", "\n")
    whole = responses_of(policy, *texts, eos=eos)
    cut = cut_at(policy, whole, ["Assistant:", "Human:", "\n"])
    said = policy.decode(cut.response_ids, cut.response_mask)
    assert said == ["yes.\n", "a Human:", "never", "Human", "\n"]
    assert [text_before(text, ["Assistant:", "Human:", "\n"]) for text in said] == ["yes.", "a", "never", "Human", ""]
    assert cut.truncated.tolist() == [False, False, not eos, not eos, False]
    assert cut.response_mask.sum(1).tolist() == [5, 8, 5 + eos, 5 + eos, 1]
    assert (cut.response_ids[~cut.response_mask] == policy.pad_id).all() and not cut.logprobs[~cut.response_mask].any()
    width = cut.response_mask.shape[1]
    assert torch.equal(cut.logprobs[cut.response_mask], whole.logprobs[:, :width][cut.response_mask])


def test_what_is_left_has_the_log_probabilities_that_it_had(policy: Policy) -> None:
    prompts = policy.encode_prompts(["what is it?", "hi"], 32, "left")
    numbers = row_noise(0, places=range(2), samples=8, steps=24)
    whole = sample(policy, *prompts, SAMPLING, 8, numbers)
    letter = policy.decode(whole.response_ids[:1, 3:4], torch.ones(1, 1, dtype=torch.bool))[0]
    cut = cut_at(policy, whole, [letter])
    assert 0 < cut.response_mask.sum() < whole.response_mask.sum()
    row = (*prompts, cut.response_ids, cut.response_mask)
    scored = policy(*row, 1.0, cut.prompt_index).logprobs
    torch.testing.assert_close(scored.detach(), cut.logprobs, atol=1e-5, rtol=0)
    assert policy(*row, 1.0, cut.prompt_index).logprobs[~cut.response_mask].abs().sum() == 0
    again = cut_at(policy, cut, [letter])
    assert torch.equal(again.response_ids, cut.response_ids) and torch.equal(again.response_mask, cut.response_mask)


def test_a_stop_may_end_within_a_token_and_a_character_take_several(tiny_gpt2: Callable[..., Policy]) -> None:
    policy = tiny_gpt2()
    cut = cut_at(policy, responses_of(policy, "a€b€", "é", eos=True), ["€"])
    assert policy.decode(cut.response_ids, cut.response_mask) == ["a€", "é"]
    assert cut.response_mask.sum(1).tolist() == [4, 3], "three bytes of the sign behind one letter"
    policy.tokenizer = type("Two", (), {"batch_decode": lambda self, rows, **_: ["".join("ab\n"[i] * 2 for i in row)
                                                                                for row in rows]})()  # fmt: skip
    rows = replace(cut, response_ids=torch.tensor([[0, 2, 1, 1], [0, 1, 1, 1]]),
                   response_mask=torch.ones(2, 4, dtype=torch.bool))  # fmt: skip
    assert cut_at(policy, rows, ["b\n", "a\n"]).response_mask.sum(1).tolist() == [2, 4], "the token is not parted"


def test_without_stops_nothing_changes_and_beams_are_cut_too(policy: Policy) -> None:
    prompts = policy.encode_prompts(["what is it?"], 32, "left")
    found = beam_search(
        policy, *prompts, BeamSearch(num_beams=2, length_penalty=1.0, min_new_tokens=0, max_new_tokens=8)
    )
    assert cut_at(policy, found, []) is found and cut_at(policy, found, ["no such text"]) is found
    (text,) = policy.decode(found.response_ids, found.response_mask)
    if len(text) > 1:
        assert policy.decode(*(lambda r: (r.response_ids, r.response_mask))(cut_at(policy, found, [text[0]]))) == [
            text[0]
        ]


def test_the_first_of_several_stops_counts() -> None:
    assert text_before("one \n two Human:", ["Human:", "\n"]) == "one"
    assert text_before("one ", ["x"]) == "one ", "what no stop ends is left as it is"
