"""Rewards of our own equal the libraries that they replace, on 10,000 pairs of real texts.

RFTLAB_HUB_MIRROR=DIR pytest -m slow tests/rewards/test_real_pairs.py
"""

import os
from pathlib import Path

import nltk
import numpy as np
import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.translate.meteor_score import meteor_score
from real_pairs import real_pairs
from rouge_score.rouge_scorer import RougeScorer

from rftlab.rewards import wordnet
from rftlab.rewards.meteor import _words, load
from rftlab.rewards.rouge_score import Rouge

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


@pytest.mark.filterwarnings("ignore:The multilingual functions")
def test_meteor_equals_nltk(pairs):
    try:
        reader = WordNetCorpusReader(nltk.data.find(wordnet.PLACE), None)
    except LookupError:
        pytest.skip("no WordNet: `make wordnet` gets it")
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
