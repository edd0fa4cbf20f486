"""Reward models of others: both layouts give the scalar of the right token, whatever stands beside it in the batch."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    GPTJConfig,
    GPTJModel,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from rftlab.errors import UserError
from rftlab.rewards.published import PromptLimit, Published, load

PROMPTS = ["a question: ", "short ", "a rather long question that is cut? "]
RESPONSES = ["an answer", "</s> is text", ""]
WHOLE = PromptLimit(tokenizer=None, max_tokens=None, truncation_side="left", ending=None)
KEYS: dict[str, Any] = {
    "tokenizer": None, "layout": "classifier", "trunk": None, "weights": None, "before": "", "after": "</s>",
    "position": "last", "max_tokens": 24, "truncation_side": "left", "prompt": WHOLE, "revision": None,
    "dtype": "float32", "batch_size": 2, "hub_mirror": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def trlx(byte_tokenizer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GPTJModel, nn.Linear]:
    """Save a random GPT-J and its head as trlX does, with the masks that older versions stored."""
    folder = tmp_path_factory.mktemp("trlx")
    sizes = {
        "vocab_size": len(byte_tokenizer),
        "n_positions": 64,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "rotary_dim": 4,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = GPTJConfig(**sizes, initializer_range=0.5, bos_token_id=None, eos_token_id=1)
        trunk, head = GPTJModel(config).eval(), nn.Linear(16, 1, bias=False)
    stored = {f"transformer.{name}": tensor for name, tensor in trunk.state_dict().items()}
    stored |= {"transformer.h.0.attn.bias": torch.ones(1), "transformer.h.0.attn.masked_bias": torch.tensor(-1e9)}
    torch.save(stored | {"v_head.weight": head.weight.detach()}, folder / "hf_ckpt.pt")
    config.save_pretrained(folder)
    byte_tokenizer.save_pretrained(folder)
    return folder, trunk, head


@pytest.fixture(scope="module")
def classifier(byte_tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random Llama with one output, whose pad is its EOS."""
    folder = tmp_path_factory.mktemp("llama")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            **sizes, vocab_size=len(byte_tokenizer), max_position_embeddings=64, initializer_range=0.5, num_labels=1,
            pad_token_id=1, eos_token_id=1,
        )  # fmt: skip
        LlamaForSequenceClassification(config).save_pretrained(folder)
    byte_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def read(classifier: Path) -> Published:
    """Load the classifier once, for tests of what it reads."""
    return load(source=str(classifier), **KEYS)


def scores(reward: Published, rows: list[int] | None = None) -> np.ndarray:
    chosen = range(len(PROMPTS)) if rows is None else rows
    return reward([PROMPTS[i] for i in chosen], [RESPONSES[i] for i in chosen], [() for _ in chosen])


def expected_ids(tokenizer: Any, text: str, most: int) -> torch.Tensor:
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    return torch.tensor([[*ids, 1][-most:]])


@pytest.mark.parametrize(("position", "place"), [("last", -1), ("before_last", -2)])
@torch.no_grad()
def test_a_reward_model_of_trlx_scores_the_token_that_is_asked_for(
    trlx: tuple[Path, GPTJModel, nn.Linear], byte_tokenizer: Any, position: str, place: int
) -> None:
    folder, trunk, head = trlx
    keys = KEYS | {"layout": "trlx", "weights": "hf_ckpt.pt", "position": position}
    found = scores(load(source=str(folder), **keys))
    for prompt, response, score in zip(PROMPTS, RESPONSES, found, strict=True):
        ids = expected_ids(byte_tokenizer, prompt + response, 24)
        assert abs(float(head(trunk(ids).last_hidden_state[0, place])) - score) < 1e-5
    assert np.ptp(found) > 0.01


@torch.no_grad()
def test_a_classifier_with_one_output_reads_its_last_token_even_where_pad_is_eos(
    classifier: Path, byte_tokenizer: Any
) -> None:
    found = scores(load(source=str(classifier), **KEYS))
    model = AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    for prompt, response, score in zip(PROMPTS, RESPONSES, found, strict=True):
        states = model.base_model(expected_ids(byte_tokenizer, prompt + response, 24)).last_hidden_state
        assert abs(float(model.score(states[0, -1])) - score) < 1e-5


@pytest.mark.parametrize("layout", ["trlx", "classifier"])
def test_no_score_depends_on_batch_mates_or_padding(trlx: tuple[Path, Any, Any], classifier: Path, layout: str) -> None:
    source = str(trlx[0] if layout == "trlx" else classifier)
    keys = KEYS | {"layout": layout} | ({"weights": "hf_ckpt.pt"} if layout == "trlx" else {})
    together = scores(load(source=source, **keys | {"batch_size": 3}))
    alone = [scores(load(source=source, **keys), [i])[0] for i in range(3)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(scores(load(source=source, **keys), [2, 0, 1]), together[[2, 0, 1]], atol=1e-5)


def test_the_text_in_front_is_read(classifier: Path) -> None:
    plain, led = (load(source=str(classifier), **KEYS | {"before": before, "max_tokens": 60}) for before in ("", "x"))
    assert (scores(plain) != scores(led)).all()
    marked = load(source=str(classifier), **KEYS | {"before": "</s>"})
    assert marked.row("ab", "")[0][0] == 1 and led.row("ab", "")[0][0] != 1


# --- what is too long, and what is empty --------------------------------------------------------------------------

EOS, A, B, C, D, E = 1, 66, 67, 68, 69, 70  # ids of the byte tokenizer: two special ones, then those from "!" on


@pytest.mark.parametrize(
    ("side", "position", "ids", "place"),
    [
        ("left", "last", [C, D, E, EOS], 3),
        ("left", "before_last", [C, D, E, EOS], 2),
        ("right", "last", [A, B, C, D], 3),  # EOS was cut off: the last token that is left
        ("right", "before_last", [A, B, C, D], 3),
    ],
)
def test_a_pair_that_is_too_long_loses_tokens_on_one_side(
    read: Published, side: Any, position: Any, ids: list[int], place: int
) -> None:
    assert replace(read, max_tokens=4, truncation_side=side, position=position).row("abc", "de") == (ids, place)


@pytest.mark.parametrize(("most", "place"), [(7, 4), (6, 4), (5, 4), (4, 3)])
def test_cut_on_the_right_the_token_before_eos_is_scored_as_long_as_it_is_there(
    read: Published, most: int, place: int
) -> None:
    cut = replace(read, max_tokens=most, truncation_side="right", position="before_last")
    assert cut.row("abc", "de") == ([A, B, C, D, E, EOS][:most], place)


@torch.no_grad()
def test_the_score_is_that_of_the_place_where_rows_of_other_lengths_stand_beside_it(
    trlx: tuple[Path, GPTJModel, nn.Linear],
) -> None:
    folder, trunk, head = trlx
    keys = KEYS | {"layout": "trlx", "weights": "hf_ckpt.pt", "truncation_side": "right", "position": "before_last"}
    reward = load(source=str(folder), **keys | {"max_tokens": 4, "batch_size": 3})
    found = reward(["abc", "a", ""], ["de", "", "b"], [()] * 3)
    for ids, place, score in zip([[A, B, C, D], [A, EOS], [B, EOS]], [3, 0, 0], found, strict=True):
        assert abs(float(head(trunk(torch.tensor([ids])).last_hidden_state[0, place])) - score) < 1e-5


@pytest.mark.parametrize(
    ("limit", "part"),
    [
        ({}, "abcdefg!"),
        ({"max_tokens": 8}, "abcdefg!"),
        ({"max_tokens": 4}, "efg!"),
        ({"max_tokens": 4, "truncation_side": "right"}, "abcd"),
        ({"max_tokens": 4, "truncation_side": "right", "ending": "g!"}, "abg!"),
    ],
)
def test_of_a_prompt_as_much_is_read_as_its_limits_say(
    read: Published, byte_tokenizer: Any, limit: dict, part: str
) -> None:
    ids, _ = replace(read, prompt=replace(WHOLE, **limit)).row("abcdefg!", "-")
    assert byte_tokenizer.decode(ids) == f"{part}-</s>"


def test_a_prompt_is_counted_in_the_tokens_that_are_named(classifier: Path, tmp_path: Path) -> None:
    pairs = RawTokenizer(models.BPE(vocab={"</s>": 0, "a": 1, "b": 2, "c": 3, "ab": 4}, merges=[("a", "b")]))
    PreTrainedTokenizerFast(tokenizer_object=pairs, eos_token="</s>").save_pretrained(tmp_path)
    prompt = replace(WHOLE, max_tokens=2, truncation_side="right", tokenizer=str(tmp_path))
    ids, _ = load(source=str(classifier), **KEYS | {"prompt": prompt}).row("abc", "de")
    assert ids == [A, B, C, D, E, EOS], "two tokens there, three of the reward model"


def test_no_token_before_the_last_one_is_refused_and_one_is_scored(read: Published) -> None:
    reward = replace(read, position="before_last")
    assert reward.row("", "b") == ([B, EOS], 0) and reward.row("a", "") == ([A, EOS], 0)
    with pytest.raises(UserError, match=r"an empty prompt with an empty response.*reward\.before"):
        reward(["a", ""], ["", ""], [(), ()])
    assert read.row("", "") == replace(read, after="").row("", "") == ([EOS], 0)


def test_a_revision_beside_a_folder_is_told(classifier: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(source=str(classifier), **KEYS | {"revision": "abc"})
    assert "revision abc" in caplog.text and "is not looked for" in caplog.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda keys: keys | {"layout": "trlx"}, "v_head.weight"),
        (lambda keys: keys | {"layout": "trlx", "weights": "none.pt"}, "none.pt"),
        (lambda keys: keys | {"layout": "trlx", "weights": "config.json"}, "cannot be read"),
        (lambda keys: keys | {"max_tokens": 65}, "64"),
        (lambda keys: keys | {"position": "before_last", "after": ""}, "reward.after"),
        (lambda keys: keys | {"position": "before_last", "max_tokens": 1}, "reward.max_tokens=1; expected 2"),
    ],
)
def test_what_is_no_such_model_is_told(classifier: Path, change: Callable[[dict], dict], words: str) -> None:
    with pytest.raises(UserError, match=words):
        load(source=str(classifier), **change(KEYS))


def test_weights_of_another_trunk_are_refused(trlx: tuple[Path, Any, Any], classifier: Path) -> None:
    keys = KEYS | {"layout": "trlx", "weights": "hf_ckpt.pt", "trunk": str(classifier)}
    with pytest.raises(UserError, match=r"tensors, first .*reward\.trunk"):
        load(source=str(trlx[0]), **keys)


def test_several_outputs_are_no_reward(tiny_bert, byte_tokenizer, tmp_path: Path) -> None:
    tiny_bert(seed=1).lm.save_pretrained(tmp_path)
    byte_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="3 classes"):
        load(source=str(tmp_path), **KEYS)
