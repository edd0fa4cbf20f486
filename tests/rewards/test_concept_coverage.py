"""Concept coverage: the share of the asked-for words whose stems a response has."""

import numpy as np
import pytest

from rftlab.errors import UserError
from rftlab.rewards.coverage import Coverage

AFTER = "generate a sentence with: "
PROMPT = f"{AFTER}dog run field."


def scores(*responses: str, prompt: str = PROMPT, score: str = "share") -> list[float]:
    found = Coverage(after=AFTER, score=score)([prompt] * len(responses), list(responses), [()] * len(responses))
    assert found.dtype == np.float64
    return [round(float(value), 6) for value in found]


def test_words_count_by_their_stems_whatever_their_case_and_order() -> None:
    assert scores("Two DOGS running in fields", "a field", "cats", "") == [1.0, 0.333333, 0.0, 0.0]


def test_a_word_counts_once_on_both_sides() -> None:
    assert scores("dog dog dog") == [0.333333]
    assert scores("a dog", prompt=f"{AFTER}dog dog run") == [0.5]


def test_all_or_nothing() -> None:
    assert scores("the dog runs in a field", "the dog runs", score="all") == [1.0, 0.0]


def test_what_is_before_the_words_does_not_count() -> None:
    assert scores("generate a sentence with") == [0.0]


@pytest.mark.parametrize("prompt", ["dog run field", f"{AFTER}...", AFTER])
def test_a_prompt_without_words_to_cover_is_refused(prompt: str) -> None:
    with pytest.raises(UserError, match=r"reward\.after"):
        scores("a dog", prompt=prompt)
