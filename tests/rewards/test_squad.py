"""Exact match and token F1: cases computed by hand after the rules of SQuAD's script."""

import pytest

from rftlab.errors import UserError
from rftlab.rewards.squad import ExactMatch, TokenF1, normalised

MATCH, F1 = ExactMatch(normalise=True), TokenF1()


def score(reward, response: str, *references: str) -> float:
    return float(reward([""], [response], [references])[0])


def test_what_is_left_of_a_text():
    assert normalised("  The U.S.A., an\tIsland ") == "usa island"
    assert normalised("theatre a-b 'a' the-end") == "theatre ab theend"  # punctuation goes first: `a-b` is no article
    assert normalised("«Häuser»") == "«häuser»"  # ASCII punctuation alone


def test_exact_match():
    assert score(MATCH, "The Key!", "key") == score(MATCH, "key", "mill", "a key") == 1.0
    assert score(MATCH, "keys", "key") == 0.0
    assert score(ExactMatch(normalise=False), "Key", "key") == 0.0
    assert score(ExactMatch(normalise=False), "key", "key") == 1.0


def test_token_f1():
    # words key, key, mill against key, key, key: two in common, P = R = 2/3
    assert score(F1, "key key the mill", "key key key") == pytest.approx(2 / 3)
    assert score(F1, "silver key", "mill", "the old key") == pytest.approx(0.5)
    assert score(F1, "key", "The key.") == 1.0


def test_a_question_without_an_answer():
    assert score(F1, "", "") == score(F1, "the", "") == score(MATCH, " ", "") == 1.0
    assert score(F1, "key", "") == score(F1, "", "key") == 0.0


@pytest.mark.parametrize("reward", [MATCH, F1])
def test_a_row_without_references_is_refused(reward):
    with pytest.raises(UserError, match="no reference"):
        score(reward, "key")
