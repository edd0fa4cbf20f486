"""ROUGE-L-max: hand-computed cases and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rftlab.rewards.rouge import RougeLMax

ROUGE = RougeLMax(word_limit=100, stem=True, weight=1.0)
VOCABULARY = ["red", "key", "mill", "harbour", "running", "ran", "a", "b2", "Mara"]
WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=12).map(" ".join)


def score(response: str, *references: str, rouge: RougeLMax = ROUGE) -> float:
    return float(rouge([""], [response], [references])[0])


def test_identical_texts_score_one_and_disjoint_texts_zero():
    assert score("the silver key", "the silver key") == 1.0
    assert score("the silver key", "old mill") == 0.0


def test_hand_computed_f():
    # LCS "police killed gunman" = 3 of 4 and 4 words: P = R = 3/4
    assert score("police kill the gunman", "police killed a gunman") == pytest.approx(0.75)
    # LCS "key" = 1: P = 1/4, R = 1/2, F = 2 * (1/8) / (3/4) = 1/3
    assert score("a key was there", "silver key") == pytest.approx(1 / 3)


@pytest.mark.parametrize(("weight", "expected"), [(1.0, 2 / 3), (1.2, 0.7190)])
def test_the_weight_raises_precision_and_recall_before_the_f(weight: float, expected: float):
    # P = 1/2, R = 1; at 1.2: P' = 0.5 ** (1 / 1.2) = 0.5612, F = 2 P' / (1 + P')
    rouge = RougeLMax(word_limit=100, stem=True, weight=weight)
    assert score("red house", "house", rouge=rouge) == pytest.approx(expected, abs=5e-5)
    assert score("house", "red house", "blue", rouge=rouge) == pytest.approx(expected, abs=5e-5)
    assert score("red house", "red house", rouge=rouge) == 1.0


def test_order_matters():
    assert score("a b c d", "d c b a") == pytest.approx(0.25)


def test_best_reference_counts():
    assert score("key", "silver key", "key") == 1.0
    assert score("key", "key", "silver key") == 1.0


def test_case_and_punctuation_do_not_count():
    assert score("The KEY!", "the, key.") == 1.0
    assert score("e-mail", "e mail") == 1.0


def test_stems_match_only_when_stemming_and_only_from_four_letters():
    assert score("jumping", "jumps") == 1.0
    assert score("jumping", "jumps", rouge=RougeLMax(word_limit=100, stem=False, weight=1.0)) == 0.0
    assert score("ox", "oxs") == 0.0  # "oxs" is too short to be stemmed


def test_stemmer_is_porters_original():
    assert score("used", "us") == 1.0
    assert score("days", "day") == 0.0
    assert score("dying", "die") == 0.0  # NLTK's own extension would make both "die"


@pytest.mark.parametrize("empty", ["", "  ", "?!", "世界"])
def test_responses_without_a_word_score_zero(empty: str):
    assert score(empty, "key") == 0.0


def test_words_beyond_the_limit_do_not_count_on_either_side():
    filler = " ".join(f"w{i}" for i in range(100))
    assert score(f"{filler} key", "key") == 0.0
    assert score(filler, f"{filler} key") == 1.0
    assert score("a b c", "a b x", rouge=RougeLMax(word_limit=2, stem=False, weight=1.0)) == 1.0


def test_a_row_without_references_is_refused():
    with pytest.raises(ValueError, match="reference"):
        ROUGE(["q"], ["key"], [()])


def test_arguments_of_different_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        ROUGE(["q", "q"], ["key"], [("key",)])


@given(WORDS, WORDS)
@settings(max_examples=100, deadline=None)
def test_score_is_symmetric_and_between_zero_and_one(first: str, second: str):
    assert 0.0 <= score(first, second) <= 1.0
    assert score(first, second) == score(second, first)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_a_batch_scores_like_its_rows(pairs: list[tuple[str, str]]):
    batch = ROUGE(["q"] * len(pairs), [a for a, _ in pairs], [(b,) for _, b in pairs])
    np.testing.assert_array_equal(batch, [score(a, b) for a, b in pairs])
