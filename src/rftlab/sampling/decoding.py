"""Step-by-step decoding with a key-value cache, one reading of each prompt shared by all its rows.

`step` takes one token per row and returns the logits of the next; `select` keeps, drops, repeats or reorders rows.
Models run as they come from transformers: masks and positions are given explicitly.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from rftlab.errors import UserError
from rftlab.models import Policy
from rftlab.models.policy import position_ids
from rftlab.sampling import shared_prompt
from rftlab.sampling.shared_prompt import Prompt


@runtime_checkable
class Decoder(Protocol):
    """A batch of rows that grows by a token at a time."""

    def fan_out(self, rows: Int[Tensor, " m"]) -> None:
        """Give every prompt several rows, adjacent to each other."""
        ...

    def select(self, rows: Int[Tensor, " m"]) -> None:
        """Keep, drop, repeat or reorder rows."""
        ...

    def step(self, tokens: Int[Tensor, " n"]) -> Float[Tensor, "n v"]:
        """Append a token to every row and return the logits of the next."""
        ...


# (policy, prompt ids, prompt mask, new tokens at most) -> decoder, and the logits of each prompt's first response token
StartDecoder = Callable[[Policy, Tensor, Tensor, int], tuple[Decoder, Tensor]]


class Seq2SeqDecoder:
    """Decode after an encoder; the first step, which must come before any `select`, fills the cross-attention cache."""

    def __init__(self, policy: Policy, prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"]) -> None:
        self.policy = policy
        self.states = policy.encode(prompt_ids, prompt_mask)
        config = policy.lm.config
        self.cache = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        shared = shared_prompt.enable(policy.lm)
        self.prompt = shared_prompt.prompt_of(prompt_mask, self.states.dtype, ()) if shared else None
        self.mask = prompt_mask if self.prompt is None else self.prompt.mask  # of four axes: taken as it is

    def fan_out(self, rows: Int[Tensor, " m"]) -> None:
        """Give every prompt several rows, adjacent to each other."""
        self.select(rows)

    def select(self, rows: Int[Tensor, " m"]) -> None:
        kept = rows
        if self.prompt is not None:
            self.prompt, kept = self.prompt.select(rows)
        if self.prompt is None or len(kept) < len(self.mask):
            self.mask = self.mask[kept]
            self.cache.cross_attention_cache.batch_select_indices(kept)
        self.cache.self_attention_cache.batch_select_indices(rows)
        # the cache holds their keys and values by now: of the encoder states only the shape still counts
        self.states = self.states[:1].expand(len(kept), -1, -1)

    def step(self, tokens: Int[Tensor, " n"]) -> Float[Tensor, "n v"]:
        out = self.policy.lm.get_decoder()(
            input_ids=tokens.unsqueeze(1),
            encoder_hidden_states=self.states,
            encoder_attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
            **({} if self.prompt is None else {"prompt": self.prompt}),
        )
        return self.policy.logits(out.last_hidden_state[:, -1])


class CausalDecoder:
    """Decode after a left-padded prompt; masks and positions of the whole row are laid out at the start."""

    def __init__(
        self, policy: Policy, prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"], max_new_tokens: int
    ) -> None:
        _check_room(policy, prompt_ids.shape[1], max_new_tokens)
        self.policy = policy
        self.cache = DynamicCache(config=policy.lm.config)
        room = prompt_mask.new_ones((len(prompt_mask), max_new_tokens))
        self.mask = torch.cat([prompt_mask, room], dim=1)
        self.positions = position_ids(self.mask)
        self.length = 0
        self.prompt: Prompt | None = None

    def fan_out(self, rows: Int[Tensor, " m"]) -> None:
        """Give every prompt several rows, adjacent to each other; the cache then grows by what each row adds alone."""
        if shared_prompt.enable(self.policy.lm):
            layers = tuple((keys, values) for keys, values, _ in self.cache)
            self.prompt = shared_prompt.prompt_of(self.mask[:, : self.length], layers[0][0].dtype, layers)
            self.cache = DynamicCache(config=self.policy.lm.config)
        self.select(rows)

    def select(self, rows: Int[Tensor, " m"]) -> None:
        self.mask, self.positions = self.mask[rows], self.positions[rows]
        self.cache.batch_select_indices(rows)
        if self.prompt is not None:
            self.prompt, _ = self.prompt.select(rows)

    def read(self, ids: Int[Tensor, "n q"]) -> Float[Tensor, "n v"]:
        """Append tokens to every row and return the logits after the last one."""
        end = self.length + ids.shape[1]
        own = {"attention_mask": self.mask[:, :end]}
        out = self.policy.lm.base_model(
            input_ids=ids,
            position_ids=self.positions[:, self.length : end],
            past_key_values=self.cache,
            use_cache=True,
            # a mask of four axes is taken as it is; everything after the prompt is real
            **(own if self.prompt is None else {"attention_mask": self.prompt.mask, "prompt": self.prompt}),
        )
        self.length = end
        return self.policy.logits(out.last_hidden_state[:, -1])

    def step(self, tokens: Int[Tensor, " n"]) -> Float[Tensor, "n v"]:
        return self.read(tokens.unsqueeze(1))


def _check_room(policy: Policy, prompt_tokens: int, new_tokens: int) -> None:
    """Refuse rows longer than the positions that the model knows."""
    limit = getattr(policy.lm.config, "max_position_embeddings", None)
    if limit is not None and prompt_tokens + new_tokens > limit:
        raise UserError(
            f"{prompt_tokens} prompt and {new_tokens} response tokens in a model with {limit} positions",
            f"at most {limit} together",
            "data.prompt.max_tokens or data.rollout.max_new_tokens",
        )


def start_decoder(
    policy: Policy, prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"], max_new_tokens: int
) -> tuple[Decoder, Float[Tensor, "b v"]]:
    """Read every prompt once; return the decoder and the logits of the first response token."""
    if policy.family == "seq2seq":
        decoder = Seq2SeqDecoder(policy, prompt_ids, prompt_mask)
        start = prompt_ids.new_full((len(prompt_ids),), policy.lm.config.decoder_start_token_id)
        return decoder, decoder.step(start)
    causal = CausalDecoder(policy, prompt_ids, prompt_mask, max_new_tokens)
    return causal, causal.read(prompt_ids)
