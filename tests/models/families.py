"""One small random checkpoint of every family, saved to disk and loaded as a user's folder is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import decoders, pre_tokenizers
from tokenizers import models as raw_models
from transformers import PreTrainedModel, PreTrainedTokenizerFast

LETTERS = "abcdefgh "  # a small vocabulary: random models then end some rows early
LETTER_SIZE = 2 + len(LETTERS)
NEW = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
       "num_key_value_heads": 2, "max_position_embeddings": 64}  # fmt: skip
OLD = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
       "max_position_embeddings": 64}  # fmt: skip
T5 = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 3, "num_heads": 4, "decoder_start_token_id": 0}
WINDOW = 6  # below the length of the prompts


@dataclass(frozen=True)
class Kind:
    """A model of transformers: its config, and what sets it apart from its relatives."""

    config: str
    values: dict[str, Any]
    family: str = "causal"


FAMILIES = {
    "t5": Kind("T5Config", T5 | {"tie_word_embeddings": True}, "seq2seq"),
    "t5 v1.1": Kind(
        "T5Config", T5 | {"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"}, "seq2seq"
    ),
    "gpt2": Kind("GPT2Config", {"n_embd": 16, "n_layer": 3, "n_head": 4, "n_positions": 64}),
    "gpt_neo": Kind(
        "GPTNeoConfig",
        {"hidden_size": 16, "num_layers": 4, "num_heads": 4, "max_position_embeddings": 64, "window_size": WINDOW,
         "attention_types": [[["global", "local"], 2]]},
    ),
    "gptj": Kind("GPTJConfig", {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64, "rotary_dim": 4}),
    "gpt_neox": Kind("GPTNeoXConfig", OLD | {"rotary_pct": 0.5}),
    "llama": Kind("LlamaConfig", NEW | {"tie_word_embeddings": True}),
    "mistral": Kind("MistralConfig", NEW | {"sliding_window": WINDOW}),
    "qwen2": Kind("Qwen2Config", NEW | {"tie_word_embeddings": True}),
    "qwen2, with windows": Kind(
        "Qwen2Config", NEW | {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}
    ),
    "qwen3": Kind("Qwen3Config", NEW | {"head_dim": 8, "tie_word_embeddings": True}),
    "gemma": Kind("GemmaConfig", NEW | {"head_dim": 8}),
    "gemma2": Kind(
        "Gemma2Config",
        NEW | {"head_dim": 8, "sliding_window": WINDOW, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 3.0,
               "query_pre_attn_scalar": 8},
    ),
    "gemma3": Kind(
        "Gemma3TextConfig", NEW | {"head_dim": 8, "sliding_window": WINDOW, "sliding_window_pattern": 2}
    ),
}  # fmt: skip


def letter_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer with pad 0, EOS 1 and one token per letter."""
    alphabet = [pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(c)[0][0] for c in LETTERS]
    vocab = {token: i for i, token in enumerate(["<pad>", "</s>", *alphabet])}
    raw = RawTokenizer(raw_models.BPE(vocab=vocab, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>")


def loader_of(family: str) -> Any:
    return transformers.AutoModelForSeq2SeqLM if family == "seq2seq" else transformers.AutoModelForCausalLM


def save_checkpoint(name: str, folder: Path, seed: int = 0) -> Path:
    """Write a random model in which no norm is at its start and no bias is zero."""
    kind = FAMILIES[name]
    special = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1}
    config = getattr(transformers, kind.config)(vocab_size=LETTER_SIZE, **special, **kind.values)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        lm: PreTrainedModel = loader_of(kind.family).from_config(config, dtype=torch.float32)
        for parameter in lm.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    lm.save_pretrained(folder)
    letter_tokenizer().save_pretrained(folder)
    return folder
