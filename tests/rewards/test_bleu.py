"""sacreBLEU as a reward: hand-computed cases, and the traps of its lists of references."""

import math

import pytest
import sacrebleu

from rftlab.errors import UserError
from rftlab.rewards.bleu import Bleu

TEXT = "the silver key was in the old mill"


def score(response: str, *references: str, tokenize: str = "13a", effective_order: bool = False) -> float:
    metric = Bleu(tokenize=tokenize, effective_order=effective_order)
    return float(metric([""], [response], [references])[0])


def test_it_is_corpus_bleu_of_one_pair():
    for response in (TEXT, "the key was in a mill", "a mill", "old old old old old", "", "x y z w"):
        whole = sacrebleu.corpus_bleu([response], [[TEXT]]).score / 100
        assert score(response, TEXT) == pytest.approx(whole, abs=1e-12)
    assert score(TEXT, TEXT) == 1.0


def test_hand_computed_case():
    # 5 tokens against 6: 4/5, 3/4, 2/3, 1/2; brevity e^(1 - 6/5)
    expected = math.exp(-1 / 5) * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4)
    assert score("a b c d x", "a b c d e f") == pytest.approx(expected)


def test_short_texts_score_only_with_the_effective_order():
    assert score("silver key", "silver key") == 0.0
    assert score("silver key", "silver key", effective_order=True) == 1.0


def test_an_empty_reference_does_not_take_the_brevity_penalty_away():
    short = "the silver key was"
    assert score(short, TEXT, "") == score(short, TEXT, " ") == score(short, TEXT) == pytest.approx(math.exp(-1))
    assert sacrebleu.corpus_bleu([short], [[TEXT], [""]]).score == pytest.approx(100)
    assert score(TEXT, "") == score("", "") == 0.0


def test_every_row_is_scored_against_its_own_references():
    metric = Bleu(tokenize="13a", effective_order=False)
    rows = [(TEXT,), ("another text of some words", TEXT), ("some other words of a text",)]
    responses = [TEXT, TEXT, "some other words of a text"]
    assert metric([""] * 3, responses, rows).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="shorter"):  # a list of texts per reference, as sacreBLEU wants it
        metric([""] * 3, responses, [(TEXT, TEXT, "x")])


def test_the_closest_reference_sets_the_length():
    assert score("a b c d", "a b c d", "a b c d e f g h") == 1.0


def test_intl_splits_what_13a_leaves_together():
    assert score("a b c d“", "a b c d", tokenize="intl") > score("a b c d“", "a b c d")


def test_a_row_without_references_is_refused():
    with pytest.raises(UserError, match="no reference"):
        score("key")
