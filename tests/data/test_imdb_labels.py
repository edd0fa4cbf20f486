"""Labelled reviews: the splits of `data=imdb`, and no train review that opens as one of its test prompts does."""

import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from rftlab.data import imdb, imdb_labels
from rftlab.data.parts.counting import Drop
from rftlab.data.parts.rows import Misfit
from rftlab.data.worlds import reviews
from rftlab.types import Example, Splits

SPLITS = ("train", "validation", "test")


def loaded(module: ModuleType, mirror: Path | None = None, duplicates: bool = False) -> Splits:
    few = replace(module.DATASET, bundled=lambda seed, split: reviews.rows(seed, split)[:800])
    return few.load(
        source="bundled" if mirror is None else "hub", hub_id="stanfordnlp/imdb", hub_config="plain_text",
        hub_revision=None, hub_mirror=mirror, n_train=None, n_validation=None, n_test=None, seed=0,
        drop=Drop(duplicates=duplicates, empty=False),
    )  # fmt: skip


def opening(example: Example) -> str:
    words = example.prompt.split(" ")
    return " ".join(words[: len(words) // 2])


def check_splits(mirror: Path | None) -> None:
    labelled, continued = (loaded(module, mirror) for module in (imdb_labels, imdb))
    for split in SPLITS:
        rows = list(getattr(labelled, split))
        kept = rows if split != "train" else [row for row in rows if row.targets == ("positive",)]
        assert [opening(row) for row in kept] == [prompt.prompt for prompt in getattr(continued, split)]
        shares = [row.targets == ("positive",) for row in rows]
        assert 0.45 < sum(shares) / len(shares) < 0.55
    distinct = loaded(imdb_labels, mirror, duplicates=True)
    asked = {prompt.prompt for prompt in continued.test}
    assert not asked & {opening(row) for row in distinct.train}


def test_splits_are_those_of_the_prompts_and_no_train_review_opens_as_a_test_prompt() -> None:
    check_splits(None)


@pytest.mark.slow
def test_so_it_is_with_real_reviews() -> None:
    if (mirror := os.environ.get("RFTLAB_HUB_MIRROR")) is None:
        pytest.skip("set RFTLAB_HUB_MIRROR to a mirror")
    check_splits(Path(mirror))


def test_a_review_is_whole_and_its_label_a_word() -> None:
    (text,) = imdb_labels.examples({"text": "A  film.", "label": 0})
    assert (text.prompt, text.targets) == ("A  film.", ("negative",))
    assert imdb_labels.examples({"text": "A film.", "label": 1})[0].targets == ("positive",)
    for label in (-1, 2):  # of the hub's split without labels
        with pytest.raises(Misfit, match=f"has label={label}; expected 0 .negative. or 1 .positive."):
            imdb_labels.examples({"text": "A film.", "label": label})
