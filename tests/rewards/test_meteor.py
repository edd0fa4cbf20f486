"""METEOR: hand-computed cases, equality with nltk, synonyms of words, and what happens without WordNet."""

import logging
from pathlib import Path
from types import SimpleNamespace

import nltk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.translate import meteor_score as theirs

from rftlab.errors import UserError
from rftlab.rewards import wordnet
from rftlab.rewards.meteor import Meteor, load, treebank

SETS = [{"car", "automobile"}, {"glad", "happy"}, {"run", "running", "move"}, {"house", "housing"}]
VALUES = {"tokenize": "treebank", "alpha": 0.9, "beta": 3.0, "gamma": 0.5, "as_released": False}
VOCABULARY = ["car", "cars", "automobile", "glad", "happy", "run", "runs", "running", "move", "the", "house", "housing"]
WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=12)


PIECES = [
    *(
        " ",
        " ",
        " ",
        " ",
        ".",
        "..",
        ",",
        ":",
        "?",
        ";",
        "-",
        "--",
        "'",
        "''",
        '"',
        "`",
        "(",
        ")",
        "]",
        "\N{RIGHT SINGLE QUOTATION MARK}",
        "“",
        "”",
        "&",
    ),
    *(
        "a",
        "Key",
        "can",
        "cannot",
        "gonna",
        "'tis",
        "don't",
        "it's",
        "they'll",
        "3",
        "3.5",
        "$",
        "U.S.",
        "n't",
        "wanna",
    ),
]


def of_word(word: str) -> frozenset[str]:
    return frozenset().union(*(names for names in SETS if word in names))


class FakeWordNet:
    """What nltk asks WordNet for."""

    def synsets(self, word: str) -> list:
        sets = [names for names in SETS if word in names]
        lemmas = [[SimpleNamespace(name=lambda name=name: name) for name in sorted(names)] for names in sets]
        return [SimpleNamespace(lemmas=lambda these=these: these) for these in lemmas]


def meteor(synonyms: str = "words", **changed) -> Meteor:
    return Meteor(**{**VALUES, "synonyms": synonyms, "of_word": None if synonyms == "none" else of_word, **changed})


def score(response: str, *references: str, metric: Meteor | None = None) -> float:
    return float((metric or meteor())([""], [response], [references])[0])


def of_nltk(response: list[str], reference: list[str]) -> float:
    return theirs.meteor_score([reference], response, wordnet=FakeWordNet())


def with_words(response: list[str], reference: list[str]) -> float:
    """Run nltk's own stages, but hand the third one words where nltk hands it stems."""
    found, left, there = theirs._match_enums(list(enumerate(response)), list(enumerate(reference)))
    stems, left, there = theirs._enum_stem_match(left, there)
    left, there = [(i, response[i]) for i, _ in left], [(j, reference[j]) for j, _ in there]
    synonyms, _, _ = theirs._enum_wordnetsyn_match(left, there, wordnet=FakeWordNet())
    matches = sorted(found + stems + synonyms)
    if not matches:
        return 0.0
    precision, recall = len(matches) / len(response), len(matches) / len(reference)
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    return (1 - 0.5 * (theirs._count_chunks(matches) / len(matches)) ** 3) * mean


def test_hand_computed_cases():
    # m = 3 of 4 and 3 words in two runs ("the cat", "sat"): P = 3/4, R = 1, F = 0.75 / (0.675 + 0.1), 1 - 0.5 (2/3)^3
    assert score("the cat just sat", "the cat sat") == pytest.approx(0.75 / 0.775 * (1 - 0.5 * 8 / 27))
    assert score("key", "key") == 0.5  # one run of one match
    assert score("a b c d e f g h i j", "a b c d e f g h i j") == pytest.approx(0.9995)
    assert score("", "key") == score("key", "mill") == 0.0


def test_the_last_of_equal_words_is_matched_first():
    assert meteor()._matches(["the", "x", "the"], ["the", "the"]) == [(0, 0), (2, 1)]
    assert meteor()._matches(["the"], ["the", "x", "the"]) == [(0, 2)]


def test_synonyms_are_those_of_words_not_of_stems():
    # nltk asks for the synonyms of `automobil` and `happi`, which have none
    assert score("automobile", "car") == score("car", "automobile") == score("glad", "happy") == 0.5
    assert score("automobile", "car", metric=meteor("stems")) == 0.0
    assert score("car", "automobile", metric=meteor("stems")) == 0.0
    assert of_nltk(["automobile"], ["car"]) == of_nltk(["car"], ["automobile"]) == 0.0
    assert score("automobile", "car", metric=meteor("none")) == 0.0


@given(WORDS, WORDS)
@settings(max_examples=300, deadline=None)
def test_scores_equal_those_of_nltk(response: list[str], reference: list[str]):
    assert meteor("stems").of_words(response, reference) == pytest.approx(of_nltk(response, reference), abs=1e-12)
    assert meteor("words").of_words(response, reference) == pytest.approx(with_words(response, reference), abs=1e-12)


def test_the_best_reference_counts_and_an_empty_one_does_not():
    assert score("the key", "mill", "the key") == score("the key", "the key", "", "mill") == score("the key", "the key")
    assert score("the key", " ") == 0.0


def test_punctuation_is_split_off_at_the_end_of_every_sentence():
    assert score("It ran. Then it sat.", "it ran . then it sat .") == score("a b c d e f g", "a b c d e f g")
    assert score("it sat.", "it sat", metric=meteor(tokenize="whitespace")) < 0.5 < score("it sat.", "it sat")


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
@settings(max_examples=500, deadline=None)
def test_parts_of_a_sentence_are_cut_as_nltk_cuts_the_whole(sentence: str):
    assert treebank(sentence) == [word.lower() for word in NLTKWordTokenizer().tokenize(sentence)]


def test_the_released_rewards_compare_with_the_written_list():
    released = meteor(as_released=True)
    assert score("a key", "a key", "the key", metric=released) == score("a key", "['a key', 'the key']") < 0.4


def test_a_row_without_references_is_refused():
    with pytest.raises(UserError, match="no reference for the response 'key'"):
        meteor()([""], ["key"], [()])


def test_references_are_given_per_row_not_per_column():
    with pytest.raises(ValueError, match="shorter"):
        meteor()(["", "", ""], ["a", "b", "c"], [("a", "b", "c")])


def test_without_wordnet_the_log_says_what_is_matched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog):
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    with caplog.at_level(logging.WARNING, logger="rftlab"):
        metric = load(**VALUES, synonyms="words")
    assert "make wordnet" in caplog.text and "synonyms do not" in caplog.text
    assert score("runs", "running", metric=metric) == 0.5
    assert score("automobile", "car", metric=metric) == 0.0
    caplog.clear()
    load(**VALUES, synonyms="none")
    assert not caplog.text


def test_real_synonyms_match():
    try:
        nltk.data.find(wordnet.PLACE)
    except LookupError:
        pytest.skip("no WordNet: `make wordnet` gets it")
    metric = load(**VALUES, synonyms="words")
    assert score("automobile", "car", metric=metric) == score("glad", "happy", metric=metric) == 0.5
