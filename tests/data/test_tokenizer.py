"""The embedded tokenizer and how it is trained."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from rftlab.assets import asset_folder
from rftlab.data.parts.tokenizer import EOS, PAD, SENTINELS, train_tokenizer
from rftlab.data.worlds import reviews, stories

EMBEDDED = AutoTokenizer.from_pretrained(asset_folder("tokenizer"))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back_unchanged(text: str):
    assert EMBEDDED.decode(EMBEDDED(text).input_ids) == text


@pytest.mark.parametrize("text", ["don't  stop .\n\n\tEnd", " leading", "Grüße, 世界 \U0001f600", "\x00\x1f"])
def test_spaces_marks_and_controls_come_back_unchanged(text: str):
    assert EMBEDDED.decode(EMBEDDED(text).input_ids) == text


def test_pad_and_eos_differ_and_nothing_is_added_to_a_text():
    assert EMBEDDED.pad_token_id != EMBEDDED.eos_token_id
    assert EMBEDDED("").input_ids == []
    assert len(EMBEDDED(" the").input_ids) == 1


def test_each_special_text_is_one_token_that_decoding_can_skip():
    specials = [PAD, EOS, *SENTINELS]
    ids = [EMBEDDED(special).input_ids for special in specials]
    assert [len(row) for row in ids] == [1] * len(specials)
    assert len({row[0] for row in ids}) == len(specials)
    assert EMBEDDED.decode(EMBEDDED(f"a{SENTINELS[0]} b{EOS}").input_ids, skip_special_tokens=True) == "a b"


def test_vocabulary_has_the_size_of_the_embedded_models():
    assert len(EMBEDDED) == 1536


def test_training_again_gives_the_same_vocabulary():
    texts = [world.prose(1, "corpus", index) for world in (stories, reviews) for index in range(50)]
    first, second = train_tokenizer(texts, 400), train_tokenizer(texts, 400)
    assert isinstance(first, PreTrainedTokenizerFast)
    assert len(first) == 400
    assert first.get_vocab() == second.get_vocab()
