"""CIDEr-D: a case done by hand, what is true of it, and that no score depends on the batch."""

import math
from pathlib import Path

import numpy as np
import pytest

from rftlab.errors import UserError
from rftlab.rewards.cider_d import CiderD, load

TRAIN = [("a cat sat on a mat", "the cat sat"), ("a dog ran",), ("two dogs ran home",), ("birds sing",)]
ROWS = [
    ("a cat sat on a mat", ("a cat sat on a mat", "the cat sat")),
    ("a dog", ("a dog ran",)),
    ("", ("birds sing",)),
    ("a cat sat on the mat today", ("a cat sat on a mat",)),
]


def cider(corpus: str = "train", **changed) -> CiderD:
    return load(**{"corpus": corpus, "sigma": 6.0, "stem": False, "train_targets": TRAIN, **changed})


def scores(metric: CiderD, rows=ROWS) -> np.ndarray:
    return metric([""] * len(rows), [text for text, _ in rows], [gold for _, gold in rows])


def test_by_hand():
    # one document in two has x, both have y: weights log 2 and 0. `x y` against `x z`: unigrams (log 2, 0) and
    # (log 2, log 2): cosine 1 / sqrt 2; bigrams differ. Of four orders: 10 / (4 sqrt 2); of the same length.
    metric = load(corpus="train", sigma=6.0, stem=False, train_targets=[("x y",), ("y",)])
    assert scores(metric, [("x y", ("x z",))])[0] == pytest.approx(10 / (4 * math.sqrt(2)))
    # `x x` against `x y`: clipped at one x, 1 log 2 * 1 log 2 over 2 log 2 * 1 log 2, and (x, x) is not (x, y)
    assert scores(metric, [("x x", ("x y",))])[0] == pytest.approx(10 / 4 * 1 / 2)
    # `x` against `x y`: cosine 1 in one order of four, one word less
    assert scores(metric, [("x", ("x y",))])[0] == pytest.approx(10 / 4 * math.exp(-1 / 72))


def test_the_highest_score_needs_four_words():
    assert scores(cider(), [("a cat sat on a mat", ("a cat sat on a mat",))])[0] == pytest.approx(10.0)
    assert scores(cider(), [("the cat sat", ("the cat sat",))])[0] == pytest.approx(7.5)
    assert scores(cider(), [("THE CAT, sat!", ("the cat sat",))])[0] == pytest.approx(7.5)


def test_no_score_depends_on_the_batch():
    together = scores(cider())
    assert together == pytest.approx([scores(cider(), [row])[0] for row in ROWS])
    assert together[:2].min() > 1.0 and together[2] == 0.0
    assert scores(cider(), ROWS[::-1])[::-1] == pytest.approx(together)


def test_rare_words_count_more():
    common, rare = scores(cider(), [("ran x", ("ran mat",)), ("x mat", ("ran mat",))])
    assert rare > common > 0


def test_references_are_averaged():
    both, first, second = (
        scores(cider(), [("a cat", gold)])[0] for gold in (("a cat", "a dog"), ("a cat",), ("a dog",))
    )
    assert both == pytest.approx((first + second) / 2)


def test_a_file_has_a_document_per_line(tmp_path: Path):
    (tmp_path / "corpus.txt").write_text("a cat sat on a mat\n\na dog ran\ntwo dogs ran home\nbirds sing\n")
    metric = cider(str(tmp_path / "corpus.txt"), train_targets=[])
    assert metric.documents == 4 and metric.frequencies["ran",] == 2 and metric.frequencies["a", "dog"] == 1


def test_stems_are_one_word():
    assert scores(cider(), [("dogs running", ("dog run",))])[0] == 0.0
    assert scores(cider(stem=True), [("dogs running", ("dogs run",))])[0] > 0.0


@pytest.mark.parametrize("changed", [{"train_targets": []}, {"train_targets": [("a",)]}, {"corpus": "/no/file"}])
def test_a_corpus_that_weighs_nothing_is_refused(changed: dict):
    with pytest.raises(UserError, match=r"reward\.corpus"):
        cider(**changed)


def test_a_row_without_references_is_refused():
    with pytest.raises(UserError, match="no reference"):
        scores(cider(), [("a cat", ())])
