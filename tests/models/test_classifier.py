"""Classifiers as policies of one token: what padding must not change."""

from collections.abc import Callable

import torch

from rftlab.models import Policy


def test_state_and_logits_of_a_text_do_not_depend_on_the_longer_text_beside_it(
    tiny_bert: Callable[..., Policy],
) -> None:
    policy = tiny_bert()
    texts = ["short", "a text that is a good deal longer"]
    together = policy.classify(*policy.encode_prompts(texts, 64, "left"))
    for i, text in enumerate(texts):
        alone = policy.classify(*policy.encode_prompts([text], 64, "left"))
        for ours, own in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[i], own[0], atol=1e-5, rtol=1e-4)
