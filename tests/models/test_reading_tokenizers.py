"""A tokenizer cuts texts by the rules of its own file, whatever class its folder names."""

import json
from pathlib import Path

import pytest
from families import save_checkpoint
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import decoders, pre_tokenizers
from tokenizers import models as raw_models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from rftlab.errors import UserError
from rftlab.models import load_policy
from rftlab.models.tokenizer import AsFiled

TEXTS = ["in 1984 and 42", "\n\n1. one", "a  b", "it's"]


def raw_tokenizer() -> RawTokenizer:
    """Merge bytes into pairs of digits and newlines, but split digits before, as SmolLM2 does."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ċ", "Ċ"), ("1", "9"), ("8", "4"), ("i", "n"), ("4", "2")]
    vocab = {token: i for i, token in enumerate(["<|end|>", *alphabet, *("".join(pair) for pair in merges)])}
    raw = RawTokenizer(raw_models.BPE(vocab=vocab, merges=merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    raw.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    raw.decoder = decoders.ByteLevel()
    return raw


def tokenizer_folder(folder: Path, tokenizer_class: str, eos: str | None = "<|end|>") -> Path:
    PreTrainedTokenizerFast(tokenizer_object=raw_tokenizer(), eos_token=eos).save_pretrained(folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": tokenizer_class}))
    return folder


@pytest.mark.parametrize("model", ["llama", "qwen2"])
@pytest.mark.parametrize("named", ["GPT2Tokenizer", "PreTrainedTokenizerFast", "Qwen2Tokenizer"])
def test_the_file_says_how_a_text_is_cut(named: str, model: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model}))
    folder = tokenizer_folder(tmp_path, named)
    words = AsFiled.from_pretrained(folder, local_files_only=True)
    raw = raw_tokenizer()
    assert [words(text)["input_ids"] for text in TEXTS] == [raw.encode(text).ids for text in TEXTS]
    assert len(words) == raw.get_vocab_size() and words.eos_token == "<|end|>"


def test_what_transformers_makes_of_such_a_folder_is_another_tokenizer(tmp_path: Path) -> None:
    """The reason why `AsFiled` exists; it may go when this fails."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    folder = tokenizer_folder(tmp_path, "GPT2Tokenizer")
    theirs = AutoTokenizer.from_pretrained(folder)
    assert [theirs(text)["input_ids"] for text in TEXTS] != [raw_tokenizer().encode(text).ids for text in TEXTS]


def test_an_end_that_the_folder_does_not_name_is_that_of_the_class(tmp_path: Path) -> None:
    raw = raw_tokenizer()
    vocab = {token.replace("<|end|>", "<|endoftext|>"): i for token, i in raw.get_vocab().items()}
    raw.model = raw_models.BPE(vocab=vocab, merges=[])
    PreTrainedTokenizerFast(tokenizer_object=raw).save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    assert AsFiled.from_pretrained(tmp_path, local_files_only=True).eos_token_id == 0


def test_a_folder_without_a_tokenizer_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = save_checkpoint("llama", tmp_path / "model")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(UserError, match=r"model.policy.tokenizer") as caught:
        load_policy(
            source=folder, family="causal", tokenizer=None, init="pretrained", dtype="float32", compute_dtype="float32"
        )
    assert "\n" not in str(caught.value)
