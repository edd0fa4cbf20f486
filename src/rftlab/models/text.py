"""From texts to padded token ids and back; masks come from lengths, never from comparing ids with the pad id."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

Tokenizer = PreTrainedTokenizerFast


def token_ids(tokenizer: Tokenizer, text: str, *, marked: bool = False) -> list[int]:
    """Tokenise one text without adding special tokens; those that it names are text like any other, unless `marked`.

    The length is the caller's business, so the tokenizer stays silent.
    """
    return tokenizer(text, add_special_tokens=False, split_special_tokens=not marked, verbose=False)["input_ids"]


def cut(ids: list[int], max_tokens: int, side: str) -> list[int]:
    """Keep at most `max_tokens` ids by cutting on `side`."""
    if len(ids) <= max_tokens:
        return ids
    return ids[len(ids) - max_tokens :] if side == "left" else ids[:max_tokens]


def prompt_ids(
    tokenizer: Tokenizer, text: str, max_tokens: int, side: str, ending: str | None, marked: bool = False
) -> list[int]:
    """Tokenise a prompt and cut it on `side`; an `ending` that it has is kept whole, and the text before it is cut."""
    ids = token_ids(tokenizer, text, marked=marked)
    if len(ids) <= max_tokens or not ending or not text.endswith(ending):
        return cut(ids, max_tokens, side)
    end = token_ids(tokenizer, ending, marked=marked)
    body = cut(token_ids(tokenizer, text.removesuffix(ending), marked=marked), max(0, max_tokens - len(end)), side)
    return cut([*body, *end], max_tokens, "left")


def pad(rows: Sequence[Sequence[int]], pad_id: int, side: str) -> tuple[Int[Tensor, "n p"], Bool[Tensor, "n p"]]:
    """Stack rows of unequal length, padded on `side` to the longest (at least one column)."""
    width = max((len(row) for row in rows), default=0) or 1
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[i, where] = torch.tensor(row, dtype=torch.long)
        mask[i, where] = True
    return ids, mask


def seq2seq_prompt(
    tokenizer: Tokenizer, text: str, max_tokens: int, side: str, ending: str | None = None, marked: bool = False
) -> list[int]:
    """Cut the text, then append EOS inside the limit (the T5 convention for the encoder)."""
    return [*prompt_ids(tokenizer, text, max_tokens - 1, side, ending, marked), tokenizer.eos_token_id]


def causal_prompt(
    tokenizer: Tokenizer, text: str, max_tokens: int, side: str, ending: str | None = None, marked: bool = False
) -> list[int]:
    """Cut the text; BOS stays in front where the tokenizer sets one. An empty prompt becomes a single EOS.

    A decoder needs one token to predict the first response token from; EOS is what separates documents in
    pretraining (the GPT-2 convention).
    """
    prefix = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    if tokenizer("", verbose=False)["input_ids"][:1] != prefix:
        prefix = []
    ids = [*prefix, *prompt_ids(tokenizer, text, max_tokens - len(prefix), side, ending, marked)]
    return ids or [tokenizer.eos_token_id]


def classifier_prompt(
    tokenizer: Tokenizer, text: str, max_tokens: int, side: str, ending: str | None = None, marked: bool = False
) -> list[int]:
    """Tokenise with the special tokens of the tokenizer, the text between them cut on `side`; no ending is kept."""
    tokenizer.truncation_side = side
    asked = {"truncation": True, "max_length": max_tokens, "split_special_tokens": not marked, "verbose": False}
    return tokenizer(text, **asked)["input_ids"]
