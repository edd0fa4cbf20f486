"""Length and repetition penalties, lexical diversity, and a weighted sum: values computed by hand."""

import pytest

from rftlab.errors import UserError
from rftlab.rewards.diversity import LexicalDiversity
from rftlab.rewards.penalties import LengthPenalty, RepetitionPenalty
from rftlab.rewards.squad import ExactMatch
from rftlab.rewards.weighted_sum import WeightedSum

ANY = ["", "a", "a a a a", "a b c d e f", "ключ ключ"]


def score(reward, *responses: str) -> list[float]:
    return reward([""] * len(responses), list(responses), [("a",)] * len(responses)).tolist()


def test_length_costs_along_a_straight_line():
    assert score(LengthPenalty(free=2, most=6), *("a " * n for n in (0, 2, 3, 4, 6, 9))) == [
        0.0, 0.0, -0.25, -0.5, -1.0, -1.0,
    ]  # fmt: skip
    with pytest.raises(UserError, match="free below most"):
        LengthPenalty(free=6, most=6)


def test_no_penalty_is_zero_and_not_minus_zero():
    for reward in (LengthPenalty(free=2, most=6), RepetitionPenalty(n=2)):
        assert [f"{value:g}" for value in score(reward, "a", "a b")] == ["0", "0"]


def test_repeated_n_grams_cost_their_share():
    # pairs of `a b a b a`: ab, ba, ab, ba: two of four stood before
    assert score(RepetitionPenalty(n=2), "a b a b a", "A, b! a b a", "a b c", "a", "") == [-0.5, -0.5, 0.0, 0.0, 0.0]
    assert score(RepetitionPenalty(n=1), "ключ ключ ключ дом") == [-0.5]


def test_distinct_n_of_one_response():
    assert score(LexicalDiversity(n=2, shortest=1), "a b a b a", "a b c", "a", "") == [0.5, 1.0, 0.0, 0.0]
    # of 4 words there would be 3 pairs: brevity earns nothing
    assert score(LexicalDiversity(n=2, shortest=4), "a b", "a b c d", "a b a b") == pytest.approx([1 / 3, 1.0, 2 / 3])


def test_scores_keep_their_ranges():
    for reward in (LengthPenalty(free=0, most=2), RepetitionPenalty(n=1), LexicalDiversity(n=1, shortest=3)):
        low, high = reward.score_range
        assert all(low <= value <= high for value in score(reward, *ANY))


def test_a_sum_weighs_its_terms_and_has_their_range():
    terms = {"task": ExactMatch(normalise=False), "length": LengthPenalty(free=0, most=4)}
    total = WeightedSum(terms=terms, weights={"task": 2.0, "length": 0.5})
    assert score(total, "a", "b b") == [2.0 - 0.125, -0.25]
    assert total.score_range == (-0.5, 2.0)
    less = WeightedSum(terms=terms, weights={"task": -1.0, "length": 0.0})
    assert score(less, "a") == [-1.0] and less.score_range == (-1.0, 0.0)


def test_a_term_of_weight_zero_is_not_computed():
    def fails(prompts, responses, targets):
        raise AssertionError

    assert score(WeightedSum(terms={"x": fails}, weights={"x": 0.0}), "a") == [0.0]


def test_terms_and_weights_have_the_same_names():
    with pytest.raises(UserError, match="one weight per term"):
        WeightedSum(terms={"task": ExactMatch(normalise=True)}, weights={"tasks": 1.0})
