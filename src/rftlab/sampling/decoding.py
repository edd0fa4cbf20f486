"""Step-by-step decoding with a key-value cache; each prompt is read once.

`step` takes one token per row and returns the logits of the next; `select` keeps, drops, repeats or reorders rows.
An architecture that has a plan is decoded by it (`planned.py`), with one copy of a prompt's keys for all its rows.
Others run here, as they come from transformers: masks and positions are given explicitly.
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
from rftlab.sampling.plan import plan_of
from rftlab.sampling.planned import PlannedDecoder


@runtime_checkable
class Decoder(Protocol):
    """A batch of rows that grows by a token at a time."""

    def fan_out(self, rows: Int[Tensor, " m"], apart: bool = False) -> None:
        """Give every prompt several rows, adjacent to each other; `apart` = none will take the place of another."""
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
        self.mask = prompt_mask

    def fan_out(self, rows: Int[Tensor, " m"], apart: bool = False) -> None:
        """Give every prompt several rows, adjacent to each other."""
        self.select(rows)

    def select(self, rows: Int[Tensor, " m"]) -> None:
        self.mask = self.mask[rows]
        self.cache.cross_attention_cache.batch_select_indices(rows)
        self.cache.self_attention_cache.batch_select_indices(rows)
        # the cache holds their keys and values by now: of the encoder states only the shape still counts
        self.states = self.states[:1].expand(len(rows), -1, -1)

    def step(self, tokens: Int[Tensor, " n"]) -> Float[Tensor, "n v"]:
        out = self.policy.lm.get_decoder()(
            input_ids=tokens.unsqueeze(1),
            encoder_hidden_states=self.states,
            encoder_attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
        )
        return self.policy.logits(out.last_hidden_state[:, -1])


class CausalDecoder:
    """Decode after a left-padded prompt; masks and positions of the whole row are laid out at the start."""

    def __init__(
        self, policy: Policy, prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"], max_new_tokens: int
    ) -> None:
        self.policy = policy
        self.cache = DynamicCache(config=policy.lm.config)
        room = prompt_mask.new_ones((len(prompt_mask), max_new_tokens))
        self.mask = torch.cat([prompt_mask, room], dim=1)
        self.positions = position_ids(self.mask)
        self.length = 0

    def fan_out(self, rows: Int[Tensor, " m"], apart: bool = False) -> None:
        """Give every prompt several rows, adjacent to each other."""
        self.select(rows)

    def select(self, rows: Int[Tensor, " m"]) -> None:
        self.mask, self.positions = self.mask[rows], self.positions[rows]
        self.cache.batch_select_indices(rows)

    def read(self, ids: Int[Tensor, "n q"]) -> Float[Tensor, "n v"]:
        """Append tokens to every row and return the logits after the last one."""
        end = self.length + ids.shape[1]
        out = self.policy.lm.base_model(
            input_ids=ids,
            position_ids=self.positions[:, self.length : end],
            attention_mask=self.mask[:, :end],
            past_key_values=self.cache,
            use_cache=True,
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
    decoder: PlannedDecoder | Seq2SeqDecoder | CausalDecoder
    plan = plan_of(policy, prompt_ids.shape[1], max_new_tokens)
    if policy.family == "seq2seq":
        planned = None if plan is None else PlannedDecoder(plan, prompt_ids, prompt_mask, max_new_tokens)
        decoder = planned or Seq2SeqDecoder(policy, prompt_ids, prompt_mask)
        start = prompt_ids.new_full((len(prompt_ids),), policy.lm.config.decoder_start_token_id)
        return decoder, decoder.step(start)
    _check_room(policy, prompt_ids.shape[1], max_new_tokens)
    if plan is not None:
        decoder = PlannedDecoder(plan, prompt_ids, prompt_mask, max_new_tokens)
        return decoder, decoder.read(prompt_ids, prompt_mask)
    decoder = CausalDecoder(policy, prompt_ids, prompt_mask, max_new_tokens)
    return decoder, decoder.read(prompt_ids)
