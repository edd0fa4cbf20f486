"""Rewards of answers and of token states equal their peers on 10,000 pairs: of a mirror, else of bundled rows.

[RFTLAB_HUB_MIRROR=DIR] pytest -m 'slow and peer' tests/rewards/test_peers_on_pairs.py
"""

import os
from collections import Counter
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from real_pairs import Pair, real_pairs

from rftlab.data import narrativeqa
from rftlab.rewards.bertscore import load
from rftlab.rewards.squad import ExactMatch, TokenF1

PAIRS = 10_000
WORDS = 4000  # of the random encoder; other words are spelled
LETTERS = "abcdefghijklmnopqrstuvwxyzäöüß0123456789"
pytestmark = [pytest.mark.slow, pytest.mark.peer]
Pairs = tuple[list[str], list[tuple[str, ...]]]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    if (mirror := os.environ.get("RFTLAB_HUB_MIRROR")) is not None:
        return real_pairs(Path(mirror), PAIRS)
    found = list(islice((pair for seed in count() for pair in bundled(seed)), PAIRS))
    return [response for response, _ in found], [targets for _, targets in found]


def bundled(seed: int) -> list[Pair]:
    """Pair the answers of a generated question with each other, and words of its story with both."""
    pairs = []
    for number, row in enumerate(narrativeqa.DATASET.bundled(seed, "train")):
        answers = tuple(answer["text"] for answer in row["answers"])
        summary = row["document"]["summary"]["text"]
        pairs += [(answers[0], answers[-1:]), (summary[-20 - number % 300 :], answers)]
    return pairs


def with_equal_ones(pairs: Pairs) -> Pairs:
    """Write a fifth of the targets otherwise, in ways of which SQuAD's rule knows, as responses; leave some empty."""
    ways = (lambda t: f"The {t.upper()}!", lambda t: f" {t} ", lambda t: "", lambda t: t.replace(" ", " a "))
    responses = [
        ways[number // 5 % len(ways)](golds[0]) if number % 5 == 0 else text
        for number, (text, golds) in enumerate(zip(*pairs, strict=True))
    ]
    golds = [("", *gold[1:]) if number % 97 == 0 else gold for number, gold in enumerate(pairs[1])]
    return responses, golds


def test_exact_match_and_token_f1_equal_torchmetrics(pairs: Pairs):
    squad = pytest.importorskip("torchmetrics.functional.text").squad
    responses, targets = with_equal_ones(pairs)
    theirs = [
        squad(
            [{"prediction_text": text, "id": "x"}],
            [{"answers": {"text": list(golds), "answer_start": [0] * len(golds)}, "id": "x"}],
        )
        for text, golds in zip(responses, targets, strict=True)
    ]
    for metric, name in ((ExactMatch(normalise=True), "exact_match"), (TokenF1(), "f1")):
        expected = np.array([float(row[name]) / 100 for row in theirs])
        assert 0.05 < expected.mean() < 0.95
        np.testing.assert_allclose(metric(responses, responses, targets), expected, atol=1e-6)


@pytest.fixture(scope="module")
def encoder(pairs: Pairs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random BERT with the frequent words of the pairs, wide enough apart that states differ."""
    from transformers import BertConfig, BertModel, BertTokenizer

    path = tmp_path_factory.mktemp("encoder")
    texts = [*pairs[0], *(gold for golds in pairs[1] for gold in golds)]
    frequent = [word for word, _ in Counter(word for text in texts for word in text.lower().split()).most_common(WORDS)]
    pieces = [*LETTERS, *map("##{}".format, LETTERS), *".,?!'\"-:;()"]
    words = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, *frequent])
    BertTokenizer(vocab={word: i for i, word in enumerate(words)}, model_max_length=128).save_pretrained(path)
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}
    config = BertConfig(vocab_size=len(words), max_position_embeddings=128, initializer_range=0.2, **sizes)
    BertModel(config).eval().save_pretrained(path)
    return path


def test_bertscore_equals_bert_score(pairs: Pairs, encoder: Path):
    bert_score = pytest.importorskip("bert_score")
    rows = [(text, golds) for text, golds in zip(*pairs, strict=True) if text.strip() and all(map(str.strip, golds))]
    responses, targets = [text for text, _ in rows], [golds for _, golds in rows]
    assert len(rows) > 0.99 * PAIRS
    scorer = bert_score.BERTScorer(model_type=str(encoder), num_layers=2, batch_size=64, device="cpu")
    theirs = scorer.score(responses, [list(golds) for golds in targets])[2].double().numpy()
    values = {"source": str(encoder), "tokenizer": None, "num_layers": 2, "max_tokens": 128, "batch_size": 64}
    ours = load(**values, hub_mirror=None)(responses, responses, targets)
    assert np.std(theirs) > 0.05
    print(f"BERTScore: {len(rows)} pairs, largest difference {np.abs(ours - theirs).max():.1e}")
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
