"""Rewards of our own equal the libraries that they replace, on 10,000 pairs of real texts.

RFTLAB_HUB_MIRROR=DIR [RFTLAB_PYCOCOEVALCAP=DIR RFTLAB_PARENT=FILE] pytest -m slow tests/rewards/test_real_pairs.py
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import nltk
import numpy as np
import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.translate.meteor_score import meteor_score
from real_pairs import real_pairs
from rouge_score.rouge_scorer import RougeScorer

from rftlab.rewards import cider_d, wordnet
from rftlab.rewards.function import _module_of
from rftlab.rewards.meteor import SENTENCE, TREEBANK, _words, load, treebank
from rftlab.rewards.parent import Parent, table_of
from rftlab.rewards.rouge_score import Rouge, words_of

PAIRS = 10_000
VARIANTS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pairs() -> tuple[list[str], list[tuple[str, ...]]]:
    if (mirror := os.environ.get("RFTLAB_HUB_MIRROR")) is None:
        pytest.skip("set RFTLAB_HUB_MIRROR to a mirror")
    return real_pairs(Path(mirror), PAIRS)


@pytest.mark.parametrize("stem", [False, True])
def test_rouge_equals_rouge_score(pairs, stem: bool):
    responses, targets = pairs
    scorer = RougeScorer(VARIANTS, use_stemmer=stem)
    theirs = [scorer.score_multi(list(gold), text) for text, gold in zip(responses, targets, strict=True)]
    for variant in VARIANTS:
        metric = Rouge(variant=variant, stem=stem, letters="ascii", lines="all")
        expected = [pair[variant].fmeasure for pair in theirs]
        assert np.std(expected) > 0.05
        np.testing.assert_allclose(metric(responses, responses, targets), expected, atol=1e-12)


@pytest.fixture(scope="module")
def reader() -> Iterator[WordNetCorpusReader]:
    try:
        folder = nltk.data.find(wordnet.PLACE)
    except LookupError:
        pytest.skip("no WordNet: `make wordnet` gets it")
    with pytest.warns(UserWarning, match="multilingual"):
        found = WordNetCorpusReader(folder, None)
    yield found
    for file in found._data_file_map.values():  # which nltk leaves open
        file.close()


def test_synonyms_equal_those_of_nltk(pairs, reader: WordNetCorpusReader):
    texts = [text for response, golds in zip(*pairs, strict=True) for text in (response, *golds)]
    words = {word for text in texts for word in _words(text, "treebank")}
    of_word = wordnet.synonyms()
    assert of_word is not None and len(words) > 10_000
    for word in words:
        lemmas = {lemma.name() for synset in reader.synsets(word) for lemma in synset.lemmas()}
        assert of_word(word) == {name for name in lemmas if "_" not in name}, word


def test_words_equal_those_of_nltk(pairs):
    sentences = [part for texts in pairs[1] for text in texts for part in SENTENCE.split(text)]
    sentences += [part for text in pairs[0] for part in SENTENCE.split(text)]
    assert len(sentences) > PAIRS
    for sentence in sentences:
        assert treebank(sentence) == [word.lower() for word in TREEBANK.tokenize(sentence)], sentence


def test_meteor_equals_nltk(pairs, reader: WordNetCorpusReader):
    responses, targets = pairs
    values = {"tokenize": "treebank", "alpha": 0.9, "beta": 3.0, "gamma": 0.5, "as_released": False}
    ours = load(**values, synonyms="stems")(responses, responses, targets)
    theirs = [
        meteor_score([_words(gold, "treebank") for gold in golds], _words(text, "treebank"), wordnet=reader)
        for text, golds in zip(responses, targets, strict=True)
    ]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    changed = np.abs(load(**values, synonyms="words")(responses, responses, targets) - ours) > 1e-9
    print(f"synonyms of words instead of stems: {changed.sum()} of {len(changed)} scores differ")
    assert changed.any()


@pytest.mark.peer
def test_cider_d_equals_pycocoevalcap(pairs):
    """With the batch as the corpus, and texts that its tokenizer would leave as they are."""
    if (folder := os.environ.get("RFTLAB_PYCOCOEVALCAP")) is None:
        pytest.skip("set RFTLAB_PYCOCOEVALCAP to a folder with pycocoevalcap 1.2")
    sys.path.append(folder)
    from pycocoevalcap.cider.cider import Cider

    plain = [(_plain(text), tuple(map(_plain, golds))) for text, golds in zip(*pairs, strict=True)]
    responses, targets = [text for text, _ in plain], [golds for _, golds in plain]
    _, theirs = Cider().compute_score(dict(enumerate(map(list, targets))), {i: [t] for i, t in enumerate(responses)})
    metric = cider_d.load(corpus="train", sigma=6.0, stem=False, train_targets=targets)
    np.testing.assert_allclose(metric(responses, responses, targets), theirs, atol=1e-9)


@pytest.mark.peer
def test_parent_equals_the_released_script(pairs):
    """With the words of the first target as a table; google-research/language, table_text_eval.py."""
    if (script := os.environ.get("RFTLAB_PARENT")) is None:
        pytest.skip("set RFTLAB_PARENT to table_text_eval.py")
    module = _module_of(Path(script))
    metric = Parent(table_weight=0.5)
    rows = [(text, golds) for text, golds in zip(*pairs, strict=True) if all(map(_plain, golds))]
    prompts = [" ".join(f"<cell> {word} </cell>" for word in _plain(golds[0]).split()) for _, golds in rows]
    responses, targets = [text for text, _ in rows], [golds for _, golds in rows]
    tables = [[([], list(value)) for value in table_of(prompt)] for prompt in prompts]
    words = [_plain(text).split() for text in responses]
    *_, theirs = module.parent(words, [[_plain(gold).split() for gold in golds] for golds in targets], tables)
    np.testing.assert_allclose(metric(prompts, responses, targets), theirs, atol=1e-7)


def _plain(text: str) -> str:
    return " ".join(words_of(text, "unicode", False))
