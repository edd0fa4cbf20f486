"""chrF and TER: cases done by hand, and what sacreBLEU's defaults let pass."""

import pytest
import sacrebleu

from rftlab.errors import UserError
from rftlab.rewards.chrf import Chrf
from rftlab.rewards.ter import Ter

TEXT = "the silver key was in the old mill"
CHRF = {"char_order": 6, "word_order": 0, "beta": 2, "whitespace": True}


def chrf(response: str, *references: str, **changed) -> float:
    return float(Chrf(**CHRF | changed)([""], [response], [references])[0])


def ter(response: str, *references: str, case_sensitive: bool = False) -> float:
    return float(Ter(case_sensitive=case_sensitive, normalized=False)([""], [response], [references])[0])


def test_chrf_by_hand():
    # "ab" against "abc": order 1: P 1, R 2/3; order 2: P 1, R 1/2; order 3 has no n-grams of the response
    precision, recall = 1.0, (2 / 3 + 1 / 2) / 2
    assert chrf("ab", "abc") == pytest.approx(5 * precision * recall / (4 * precision + recall))
    assert chrf(TEXT, TEXT) == 1.0 and chrf("", TEXT) == chrf(TEXT, "") == chrf("x", "y") == 0.0


def test_chrf_equals_sacrebleu():
    for response in ("a key was in the mill", "old mill", TEXT):
        for order, whole in ((0, sacrebleu.CHRF()), (2, sacrebleu.CHRF(word_order=2))):
            ours = chrf(response, TEXT, "a key", word_order=order, whitespace=False)
            assert ours == pytest.approx(whole.sentence_score(response, [TEXT, "a key"]).score / 100)


def test_a_text_without_spaces_does_not_score_one():
    joined = TEXT.replace(" ", "")
    assert chrf(joined, TEXT, whitespace=False) == 1.0
    assert chrf(joined, TEXT) < 0.75


def test_ter_is_higher_for_fewer_edits():
    assert ter(TEXT, TEXT) == ter(TEXT.upper(), TEXT) == 1.0
    assert ter("the silver key was in the mill", TEXT) == pytest.approx(1 - 1 / 8)  # an insertion
    assert ter("in the old mill the silver key was", TEXT) == pytest.approx(1 - 1 / 8)  # a shift
    assert ter(TEXT.upper(), TEXT, case_sensitive=True) == 0.0


def test_ter_is_cut_where_writing_nothing_is():
    assert sacrebleu.TER().sentence_score("a b c d e f g", ["x"]).score == pytest.approx(700)
    assert ter("a b c d e f g", "x") == ter("", "x") == ter("x", " ") == 0.0


def test_an_unrelated_long_reference_makes_nothing_better():
    long = "quite another text of very many words that nobody has ever asked about at all"
    assert sacrebleu.TER().sentence_score("the key", [TEXT, long]).score < 65
    assert ter("the key", TEXT, long) == ter("the key", TEXT) == pytest.approx(1 - 6 / 8)


@pytest.mark.parametrize("score", [chrf, ter])
def test_a_row_without_references_is_refused(score):
    with pytest.raises(UserError, match="no reference"):
        score("key")
