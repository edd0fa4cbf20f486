"""ROUGE: equality with rouge-score, the letters of other scripts, and newlines that game ROUGE-Lsum."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer

from rftlab.errors import UserError
from rftlab.rewards.rouge_score import WORD, Rouge, _latin_words, words_of

RULES = """
    sses ies ss s eed ed ied ing y ational tional enci anci izer bli abli alli entli eli ousli ization ation ator alism
    iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able
    ible ant ement ment ent sion tion ou ism ate iti ous ive ize e ll
"""  # endings of Porter (1980), and of nltk
ENDINGS = ("", "", "k", "m", "x", *RULES.split())
VARIANTS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
VOCABULARY = ["the", "key", "running", "runs", "flies", "fly", "b2", "Mara's", "mill-house", "Häuser", "\n", "_x_", "."]
TEXTS = st.lists(st.sampled_from(VOCABULARY), max_size=14).map(" ".join)


def rouge(variant: str = "rougeL", **changed) -> Rouge:
    return Rouge(**{"variant": variant, "stem": False, "letters": "unicode", "lines": "reference", **changed})


def score(response: str, *references: str, metric: Rouge | None = None) -> float:
    return float((metric or rouge())([""], [response], [references])[0])


@pytest.mark.parametrize("stem", [True, False])
@given(TEXTS, TEXTS, TEXTS)
@settings(max_examples=60, deadline=None)
def test_scores_equal_those_of_rouge_score(stem: bool, response: str, first: str, second: str):
    theirs = RougeScorer(VARIANTS, use_stemmer=stem).score_multi([first, second], response)
    for variant in VARIANTS:
        metric = rouge(variant, stem=stem, letters="ascii", lines="all")
        assert score(response, first, second, metric=metric) == pytest.approx(theirs[variant].fmeasure, abs=1e-12)


def test_a_text_is_cut_alike_by_its_table_of_latin_signs_and_by_the_rules_of_all_scripts():
    """Each sign between letters: half of it takes the table, and of all scripts none is cut otherwise."""
    signs = [chr(code) for code in range(0x3000) if (chr(code) + "b").isprintable() or code < 256]
    by_table = 0
    for sign in signs:
        text = f"Za{sign}b {sign}"
        by_table += (latin := _latin_words(text)) is not None
        words = WORD.findall(unicodedata.normalize("NFC", text.lower()))
        assert latin in (None, words), hex(ord(sign))
        assert words_of(text, "unicode", False) == tuple(words)
    assert by_table == 251  # of the 256 bytes five are no sign


@given(st.text("abcdeilnostuy", min_size=1, max_size=5), st.sampled_from(ENDINGS), st.sampled_from(ENDINGS))
@settings(max_examples=400, deadline=None)
def test_a_stem_is_that_of_nltk_whatever_the_ending(start: str, middle: str, end: str):
    word = start + middle + end
    assert words_of(word, "ascii", True) == (PorterStemmer().stem(word) if len(word) > 3 else word,)


def test_irregular_forms_have_the_stems_of_nltk():
    stemmer = PorterStemmer()
    for form in ("sky", "skies", "dying", "news", "innings", "canning", "howe", "proceed", "succeed", "exceed"):
        assert words_of(form, "ascii", True) == (stemmer.stem(form) if len(form) > 3 else form,)


def test_hand_computed_cases():
    # words in common: the, key = 2 of 3 and 4; pairs in common: none; LCS: the = 1, or key = 1
    cases = {"rouge1": 2 * 2 / 7, "rouge2": 0.0, "rougeL": 2 * 1 / 7, "rougeLsum": 2 * 1 / 7}
    for variant, expected in cases.items():
        assert score("key for the", "the old silver key", metric=rouge(variant)) == pytest.approx(expected)
    # lines "a b" and "c d": LCS of the reference line `a c b d` with them at 0, 2 and 1, 3: all four words
    assert score("a b\nc d", "a c b d", metric=rouge("rougeLsum", lines="all")) == 1.0


def test_words_of_every_script_are_words():
    ascii_ = rouge("rouge1", letters="ascii")
    for text in ("ключ мельница", "विद्यालय में", "مفتاح قديم", "Häuser", "銀の鍵"):
        assert score(text, text, metric=rouge("rouge1")) == 1.0
    assert score("ключ", "ключ", metric=ascii_) == 0.0
    assert score("Häuser", "h user", metric=ascii_) == 1.0 > score("Häuser", "h user", metric=rouge("rouge1"))
    assert score("銀の鍵", "鍵の銀", metric=rouge("rouge1")) == 1.0 > score("銀の鍵", "鍵の銀")
    assert score("cafe\u0301", "caf\u00e9") == 1.0  # the same letter in one sign or in two


def test_newlines_do_not_make_rouge_lsum_a_bag_of_words():
    words = ["a", "b", "c", "d", "e", "f", "g", "h"]
    reversed_lines, text = "\n".join(reversed(words)), " ".join(words)
    assert score(reversed_lines, text, metric=rouge("rougeLsum", lines="all")) == 1.0
    assert score(reversed_lines, text, metric=rouge("rougeLsum")) == score(reversed_lines, text) == 1 / 8
    two = "a b c d\ne f g h"
    assert score("e f g h\na b c d", two, metric=rouge("rougeLsum")) == 1.0  # as many lines as the reference
    assert score("\n\n\n" + two + "\n", two, metric=rouge("rougeLsum")) == 1.0  # empty ones are none


@pytest.mark.parametrize("variant", VARIANTS)
def test_empty_texts_score_zero_and_missing_references_are_refused(variant: str):
    metric = rouge(variant)
    assert [score(text, "key", metric=metric) for text in ("", " \n ", "?!")] == [0.0] * 3
    assert score("key", "", " ", metric=metric) == 0.0
    with pytest.raises(UserError, match="no reference"):
        score("key", metric=metric)
    with pytest.raises(ValueError, match="shorter"):
        metric([""] * 3, ["a", "b", "c"], [("a", "b", "c")])
