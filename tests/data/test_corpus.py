"""The pretraining corpus: lazy, seeded, and free of the tasks' formats."""

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rftlab.data import corpus, worlds
from rftlab.data.corpus import corrupt_spans, load_causal, load_sentiment, load_spans
from rftlab.data.parts.tokenizer import SENTINELS

SIZES = {"source": "bundled", "hub_mirror": None, "n_train": 300, "n_validation": 20, "seed": 0}
LOADERS = (load_spans, load_causal, load_sentiment)


def restore(shown: str, hidden: str) -> str:
    """Put the hidden spans back into their gaps."""
    pieces = re.split(r"<extra_id_\d+>", hidden)[1:]
    for sentinel, piece in zip(SENTINELS, pieces, strict=False):
        shown = shown.replace(sentinel, piece, 1)
    return shown


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_hidden_spans_fit_back_into_their_gaps(seed: int):
    text = "Mara hid a red key in the old mill. Orin, a baker, didn't know. At last Orin found the key!"
    shown, hidden = corrupt_spans(text, np.random.default_rng(seed))
    assert restore(shown, hidden) == text
    assert shown.count("<extra_id_") == hidden.count("<extra_id_") >= 1


def test_a_fifth_to_a_quarter_of_the_words_is_hidden_and_all_are_asked_for():
    examples = load_spans(**SIZES).train
    shown = sum(len(re.sub(r"<extra_id_\d+>", " ", example.prompt).split()) for example in examples)
    total = sum(len(example.targets[0].split()) for example in examples)
    assert 0.7 < shown / total < 0.9


@pytest.mark.parametrize("load", LOADERS)
def test_an_item_depends_on_seed_split_and_index_alone(load):
    first, second = load(**SIZES), load(**SIZES)
    assert second.train[250] == first.train[250]  # asked for alone, and after nothing
    assert [example.id for example in first.train[3:6]] == [first.train[index].id for index in (3, 4, 5)]
    assert first.train[-1] == first.train[len(first.train) - 1]
    assert load(**(SIZES | {"seed": 1})).train[250] != first.train[250]


@pytest.mark.parametrize("load", LOADERS)
def test_splits_have_their_sizes_and_share_no_text(load):
    splits = load(**SIZES)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (300, 20, 20)
    texts = [{example.prompt + example.targets[0] for example in part} for part in (splits.train, splits.validation)]
    assert not texts[0] & texts[1]


@pytest.mark.parametrize("load", LOADERS)
def test_an_index_beyond_the_end_is_refused(load):
    with pytest.raises(IndexError):
        load(**SIZES).train[300]


def test_causal_texts_follow_an_empty_prompt():
    examples = load_causal(**SIZES).train
    assert {example.prompt for example in examples} == {""}
    assert all(example.targets[0] for example in examples)


def test_pretraining_texts_are_plain():
    """Of no task's format: no mark of a line, a speaker, a table, a post or a gap in the whole texts."""
    texts = [example.targets[0] for load in (load_spans, load_causal) for example in load(**SIZES).train]
    marks = ("\\n", "\n", "Human:", "Assistant:", "POST:", "TL;DR", "Question:", "<", "|")
    assert not [text for text in texts if any(mark in text for mark in marks)]


def test_the_corpora_read_every_world_that_holds_text():
    """A world that gives texts to a dataset of texts or of pairs of sentences, by the files there are."""
    folder = Path(worlds.__file__).parent
    no_text = {"__init__", "grammar", "opinions", "digits", "pictures"}  # parts of worlds, and images
    read = {world.__name__.rpartition(".")[2] for world in corpus.WORLDS}
    assert read == {file.stem for file in folder.glob("*.py")} - no_text
    for shares in (corpus.SPANS, corpus.CAUSAL):
        assert len(shares) == len(corpus.WORLDS) and min(shares) > 0 and sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("world", corpus.WORLDS)
def test_a_corpus_draws_each_world_as_often_as_its_share_says(world: ModuleType, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(world, "prose", lambda *_: "here it is")
    drawn = sum(example.targets == ("here it is",) for example in load_spans(**SIZES | {"n_train": 2000}).train)
    share = corpus.SPANS[corpus.WORLDS.index(world)]
    assert drawn == pytest.approx(2000 * share, abs=4 * (2000 * share * (1 - share)) ** 0.5)


def test_sentiment_labels_are_balanced_and_texts_differ_in_length():
    examples = load_sentiment(**SIZES).train
    labels = [example.targets[0] for example in examples]
    assert set(labels) == {"negative", "positive"}
    assert labels.count("positive") == pytest.approx(150, abs=2)
    lengths = [len(example.prompt.split()) for example in examples]
    assert min(lengths) < 20 and max(lengths) > 70
