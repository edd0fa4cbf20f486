"""Tiny random models and a byte-level tokenizer, so that every path runs in seconds without a download."""

import logging
import os
import signal
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported: a hub name must fail, not retry
os.environ["RFTLAB_MODELS"] = os.devnull  # what `make small` has put on this machine is part of no key here
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: commands under test would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

from rftlab.light import lighten

if "torch" not in sys.modules:
    lighten()  # as every command does

from collections.abc import Callable, Iterator

import pytest
import torch
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import decoders, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from rftlab.models import Policy

PolicyFactory = Callable[..., Policy]


@pytest.fixture(autouse=True)
def no_handler_stays() -> Iterator[None]:
    """Take back the handlers that Hydra gives the log of a process: their streams end with the test."""
    before = list(logging.root.handlers)
    yield
    for handler in list(logging.root.handlers):
        if type(handler) is logging.StreamHandler and handler not in before:
            logging.root.removeHandler(handler)


@pytest.fixture(autouse=True)
def no_wish_for_tracebacks_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what `train` sets for Hydra in its process, which a test shares with those after it."""
    for name in ("HYDRA_FULL_ERROR", "RFTLAB_TRACEBACK"):
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer with pad 0, EOS 1 and one token per byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(["<pad>", "</s>", *alphabet])}
    raw = RawTokenizer(models.BPE(vocab=vocab, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>")


@pytest.fixture(scope="session")
def tiny_t5(byte_tokenizer: PreTrainedTokenizerFast) -> PolicyFactory:
    """Make a fresh random T5 policy: `tiny_t5(seed=0, **config)`; sharp enough that tokens differ in probability."""

    def make(seed: int = 0, **config: object) -> Policy:
        values = {
            "vocab_size": len(byte_tokenizer),
            "d_model": 16,
            "d_kv": 8,
            "d_ff": 32,
            "num_layers": 2,
            "num_heads": 2,
            "dropout_rate": 0.0,
            "decoder_start_token_id": 0,
            "initializer_factor": 1.5,
        }
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Policy(T5ForConditionalGeneration(T5Config(**values | config)), byte_tokenizer, "seq2seq")

    return make


@pytest.fixture(scope="session")
def tiny_gpt2(byte_tokenizer: PreTrainedTokenizerFast) -> PolicyFactory:
    """Make a fresh random GPT-2 policy: `tiny_gpt2(seed=0, **config)`."""

    def make(seed: int = 0, **config: object) -> Policy:
        values = {
            "vocab_size": len(byte_tokenizer),
            "n_embd": 16,
            "n_layer": 2,
            "n_head": 2,
            "n_positions": 128,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
            "bos_token_id": 1,
            "eos_token_id": 1,
            "pad_token_id": 0,
            "initializer_range": 0.3,
        }
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Policy(GPT2LMHeadModel(GPT2Config(**values | config)), byte_tokenizer, "causal")

    return make


@pytest.fixture(scope="session")
def tiny_llama(byte_tokenizer: PreTrainedTokenizerFast) -> PolicyFactory:
    """Make a fresh random Llama policy (rotary positions, untied head): `tiny_llama(seed=0, **config)`."""

    def make(seed: int = 0, **config: object) -> Policy:
        values = {
            "vocab_size": len(byte_tokenizer),
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 128,
            "bos_token_id": None,
            "eos_token_id": 1,
            "pad_token_id": 0,
            "initializer_range": 0.3,
        }
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Policy(LlamaForCausalLM(LlamaConfig(**values | config)), byte_tokenizer, "causal")

    return make


@pytest.fixture(scope="session")
def tiny_bert(byte_tokenizer: PreTrainedTokenizerFast) -> PolicyFactory:
    """Make a fresh random classifier over the labels low, middle, high: `tiny_bert(seed=0, **config)`."""

    def make(seed: int = 0, **config: object) -> Policy:
        labels = ("low", "middle", "high")
        values = {
            "vocab_size": len(byte_tokenizer),
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 64,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.3,
            "id2label": dict(enumerate(labels)),
            "label2id": {label: i for i, label in enumerate(labels)},
        }
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Policy(BertForSequenceClassification(BertConfig(**values | config)), byte_tokenizer, "classifier")

    return make
