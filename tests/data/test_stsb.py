"""STS-B: classes of similarities, splits and subsets, the bundled pairs, and what the loader refuses."""

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from label_mirror import load, write_rows

from rftlab.data import stsb
from rftlab.data.worlds import pairs
from rftlab.errors import UserError


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder for a mirror, read through a cache of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def row(number: int, label: float | None, first: str | None = "A cat sleeps.") -> dict:
    return {"sentence1": first, "sentence2": f"Cat {number} sleeps.", "label": label, "idx": number}


@pytest.mark.parametrize(
    ("score", "label"), [(0.0, 0), (0.5, 0), (0.51, 1), (1.5, 2), (2.5, 2), (3.5, 4), (4.5, 4), (5.0, 5), (3, 3)]
)
def test_a_similarity_becomes_the_nearest_class_and_a_half_the_even_one(score: float, label: int):
    assert stsb.to_pair(row(7, score), "") == (("A cat sleeps.", "Cat 7 sleeps."), label)


def test_hub_rows_keep_their_order(mirror: Path):
    write_rows(mirror, stsb, [row(number, number / 2) for number in range(11)])
    splits = load(stsb, mirror)
    assert splits.source == "hub"
    assert splits.train.inputs == tuple(("A cat sleeps.", f"Cat {number} sleeps.") for number in range(11))
    assert splits.test.labels.tolist() == [0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5]
    assert splits.test.labels.dtype == torch.int64


def test_limits_keep_a_subset_that_the_seed_chooses():
    chosen, again = load(stsb, n_train=50, n_test=20), load(stsb, n_train=50, n_test=20)
    everything = load(stsb, n_train=10**6)
    assert (len(chosen.train.inputs), len(chosen.test.labels)) == (50, 20)
    assert chosen.train.inputs == again.train.inputs
    positions = [everything.train.inputs.index(pair) for pair in chosen.train.inputs]
    assert positions == sorted(positions) and positions != list(range(50))
    assert chosen.train.labels.tolist() == everything.train.labels[positions].tolist()
    assert load(stsb, n_train=50, seed=1).train.inputs != chosen.train.inputs


@pytest.mark.parametrize("label", [-1.0, 5.1, float("nan"), None])
def test_a_similarity_out_of_range_is_refused(mirror: Path, label: float | None):
    write_rows(mirror, stsb, [row(0, 1.0), row(1, label)])
    with pytest.raises(UserError, match="in split 'train' of org/set; expected similarities from 0 to 5"):
        load(stsb, mirror)


def test_a_row_without_a_sentence_is_refused(mirror: Path):
    write_rows(mirror, stsb, [row(0, 1.0), row(1, 1.0, first=None)])
    with pytest.raises(UserError, match="lacks a sentence"):
        load(stsb, mirror)


@pytest.mark.parametrize("key", ["n_train", "n_test"])
def test_fewer_rows_than_classes_are_refused(key: str):
    with pytest.raises(UserError, match=f"data.loader.{key}=5; expected at least 6"):
        load(stsb, **{key: 5})


def test_bundled_rows_have_the_columns_of_the_hub():
    for split, size in pairs.SIZES.items():
        rows = list(pairs.rows(0, split))
        assert [row["idx"] for row in rows] == list(range(size))
        types = {tuple((key, type(value)) for key, value in row.items()) for row in rows}
        assert types == {(("sentence1", str), ("sentence2", str), ("label", float), ("idx", int))}


def test_the_same_seed_gives_the_same_pairs_and_another_seed_others():
    assert list(pairs.rows(3, "validation")) == list(pairs.rows(3, "validation"))
    assert list(pairs.rows(3, "validation"))[:20] != list(pairs.rows(4, "validation"))[:20]


def test_bundled_splits_share_no_pair():
    splits = load(stsb)
    assert not {*splits.train.inputs} & {*splits.test.inputs}


def test_every_class_is_common_and_some_similarities_are_fractions():
    rows = list(pairs.rows(0, "train"))
    shares = np.bincount([round(row["label"]) for row in rows]) / len(rows)
    assert len(shares) == 6 and shares.min() > 0.1
    assert 0.3 < np.mean([row["label"] % 1 > 0 for row in rows]) < 0.7
    assert min(row["label"] for row in rows) == 0 and max(row["label"] for row in rows) == 5


def test_similarity_follows_from_what_the_sentences_share_but_not_from_equal_words_alone():
    rows = list(pairs.rows(0, "train"))

    def overlap(row: dict) -> float:
        first, second = ({*row[key].lower().strip(".").replace(",", "").split()} for key in ("sentence1", "sentence2"))
        return len(first & second) / len(first | second)

    correlation = np.corrcoef([overlap(row) for row in rows], [row["label"] for row in rows])[0, 1]
    assert 0.6 < correlation < 0.95
    assert not any(row["sentence1"] == row["sentence2"] for row in rows if row["label"] < 5)


def test_facts_of_one_kind_are_told_in_words_of_their_own():
    for kind in pairs.KINDS:
        wordings = [wording for group in kind for fact in group for wording in fact]
        assert len(set(wordings)) == len(wordings)
        assert {len(group) for group in kind} == {2}
