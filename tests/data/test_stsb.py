"""STS-B: classes of similarities, splits and subsets, the bundled pairs, and what the loader refuses."""

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from members import member_of, write

from rftlab.data import stsb
from rftlab.data.worlds import pairs
from rftlab.errors import UserError


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder for a mirror, read through a cache of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def load(mirror: Path | None = None, **changes):
    return member_of(stsb).load(mirror, **changes)


def write_rows(mirror: Path, rows: list[dict]) -> None:
    """Write the same rows as both splits of `org/set`."""
    write(mirror / "org" / "set", {"train": rows, "validation": rows})


def row(number: int, label: float | None, first: str | None = "A cat sleeps.") -> dict:
    return {"sentence1": first, "sentence2": f"Cat {number} sleeps.", "label": label, "idx": number}


@pytest.mark.parametrize(
    ("score", "label"), [(0.0, 0), (0.5, 0), (0.51, 1), (1.5, 2), (2.5, 2), (3.5, 4), (4.5, 4), (5.0, 5), (3, 3)]
)
def test_a_similarity_becomes_the_nearest_class_and_a_half_the_even_one(score: float, label: int):
    assert stsb.DATASET.label(score) == label


def test_hub_rows_keep_their_order(mirror: Path):
    write_rows(mirror, [row(number, number / 2) for number in range(11)])
    splits = load(mirror)
    assert splits.source == "hub"
    assert splits.train.inputs == tuple(("A cat sleeps.", f"Cat {number} sleeps.") for number in range(11))
    assert splits.test.labels.tolist() == [0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5]
    assert splits.test.labels.dtype == torch.int64


def test_limits_keep_a_subset_that_the_seed_chooses():
    chosen, again = load(n_train=50, n_test=20), load(n_train=50, n_test=20)
    everything = load(n_train=10**6)
    assert (len(chosen.train.inputs), len(chosen.test.labels)) == (50, 20)
    assert chosen.train.inputs == again.train.inputs
    positions = [everything.train.inputs.index(pair) for pair in chosen.train.inputs]
    assert positions == sorted(positions) and positions != list(range(50))
    assert chosen.train.labels.tolist() == everything.train.labels[positions].tolist()
    assert load(n_train=50, seed=1).train.inputs != chosen.train.inputs


@pytest.mark.parametrize("label", [-1.0, 5.1, float("nan"), None])
def test_a_similarity_out_of_range_is_refused(mirror: Path, label: float | None):
    write_rows(mirror, [row(0, 1.0), row(1, label)])
    with pytest.raises(UserError, match=r"row 1 of split 'train' of org/set has label=.*; expected a number.*; change"):
        load(mirror)


def test_a_row_without_a_sentence_is_refused(mirror: Path):
    write_rows(mirror, [row(0, 1.0), row(1, 1.0, first=None)])
    with pytest.raises(
        UserError, match="row 1 of split 'train' of org/set has sentence1=None; expected a text; change"
    ):
        load(mirror)


@pytest.mark.parametrize("key", ["n_train", "n_test"])
def test_fewer_rows_than_classes_are_refused(key: str):
    with pytest.raises(UserError, match=f"data.loader.{key}=5; expected at least 6"):
        load(**{key: 5})


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
