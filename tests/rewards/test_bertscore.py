"""BERTScore: equality with bert-score, empty texts that end its batch, and independence of the batch."""

from pathlib import Path

import numpy as np
import pytest

from rftlab.errors import UserError
from rftlab.rewards.bertscore import BertScore, load

TEXTS = ["the key", "a silver key was in the mill", "x", "Where is it?", "the key"]
GOLDS = ["the silver key", "a silver key was in the old mill", "the key", "It is there.", "the key"]


@pytest.fixture(scope="module")
def folder(tiny_bert, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random encoder with a tokenizer that has a start and an end."""
    from transformers import BertTokenizer

    path = tmp_path_factory.mktemp("encoder")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *"abcdefghijklmnopqrstuvwxyz?.",
        *map("##{}".format, "abcdefghijklmnopqrstuvwxyz"),
    ]
    (path / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(vocab=dict(zip(words, range(len(words)), strict=True))).save_pretrained(path)
    tiny_bert(seed=1).lm.bert.save_pretrained(path)
    return path


def bertscore(folder: Path, **changed) -> BertScore:
    values = {"tokenizer": None, "num_layers": 2, "max_tokens": 64, "batch_size": 2, "hub_mirror": None}
    return load(**{"source": str(folder), **values, **changed})


def score(reward: BertScore, responses: list[str], *golds: tuple[str, ...]) -> np.ndarray:
    return reward([""] * len(responses), responses, list(golds))


def test_an_equal_text_scores_one_and_others_less(folder: Path):
    found = score(bertscore(folder), TEXTS, *((gold,) for gold in GOLDS))
    assert found[-1] == pytest.approx(1.0) and found[:-1].max() < 1.0


@pytest.mark.parametrize("layers", [1, 2])
def test_scores_equal_those_of_bert_score(folder: Path, layers: int):
    bert_score = pytest.importorskip("bert_score")
    theirs = bert_score.BERTScorer(model_type=str(folder), num_layers=layers, batch_size=3, device="cpu")
    theirs._tokenizer.model_max_length = 64  # unset, it is too large a number for the tokenizer
    _, _, expected = theirs.score(TEXTS, GOLDS)
    ours = score(bertscore(folder, num_layers=layers), TEXTS, *((gold,) for gold in GOLDS))
    np.testing.assert_allclose(ours, expected.numpy(), atol=1e-5)
    _, _, best = theirs.score(TEXTS[:2], [GOLDS[:2], GOLDS[2:4]])
    np.testing.assert_allclose(
        score(bertscore(folder, num_layers=layers), TEXTS[:2], tuple(GOLDS[:2]), tuple(GOLDS[2:4])),
        best.numpy(),
        atol=1e-5,
    )


def test_an_empty_response_scores_zero_and_ends_no_batch(folder: Path):
    found = score(bertscore(folder), ["", "the key", " \n"], *[("the key",)] * 3)
    assert found.tolist() == [0.0, pytest.approx(1.0), 0.0]
    assert score(bertscore(folder), ["the key"], ("", " ")).tolist() == [0.0]


def test_no_score_depends_on_the_texts_beside_it(folder: Path):
    together = score(bertscore(folder, batch_size=5), TEXTS, *((gold,) for gold in GOLDS))
    alone = [
        score(bertscore(folder, batch_size=1), [text], (gold,))[0] for text, gold in zip(TEXTS, GOLDS, strict=True)
    ]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_long_texts_lose_their_end(folder: Path):
    long = "key " * 60
    assert score(bertscore(folder), [long + "mill"], (long + "silver",))[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"num_layers": 3}, "at most 2"), ({"max_tokens": 65}, "64 positions"), ({"source": "/no/model"}, "no folder")],
)
def test_what_the_model_does_not_have_is_refused(folder: Path, changed: dict, named: str):
    with pytest.raises(UserError, match=named):
        bertscore(folder, **changed)


def test_a_decoder_is_refused(tiny_t5, byte_tokenizer, tmp_path: Path):
    tiny_t5().lm.save_pretrained(tmp_path)
    byte_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="an encoder with a decoder"):
        bertscore(tmp_path)
