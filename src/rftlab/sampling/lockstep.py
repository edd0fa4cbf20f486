"""Decoding with a guide: a second network reads the same tokens and says at each step which may follow."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.models import Guide, Policy
from rftlab.sampling.decoding import Decoder, StartDecoder, start_decoder


class Guided:
    """Two decoders in lockstep, seen as one: logits of the first, -inf where the guide allows no token."""

    def __init__(self, decoder: Decoder, guide: Guide, guiding: Decoder) -> None:
        self._decoder, self._guide, self._guiding = decoder, guide, guiding

    def fan_out(self, rows: Int[Tensor, " m"], apart: bool = False) -> None:
        self._decoder.fan_out(rows, apart)
        self._guiding.fan_out(rows, apart)

    def select(self, rows: Int[Tensor, " m"]) -> None:
        self._decoder.select(rows)
        self._guiding.select(rows)

    def step(self, tokens: Int[Tensor, " n"]) -> Float[Tensor, "n v"]:
        return masked(self._decoder.step(tokens), self._guide.tokens(self._guiding.step(tokens)))


def masked(logits: Float[Tensor, "n v"], allowed: Bool[Tensor, "n v"]) -> Float[Tensor, "n v"]:
    """Make the tokens impossible that are not allowed."""
    return logits.masked_fill(~allowed, -torch.inf)


def guided_by(guide: Guide | None) -> StartDecoder:
    """Say how to start decoding under a guide; without one as usual."""
    if guide is None:
        return start_decoder

    def start(
        policy: Policy, prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"], max_new_tokens: int
    ) -> tuple[Decoder, Float[Tensor, "b v"]]:
        decoder, logits = start_decoder(policy, prompt_ids, prompt_mask, max_new_tokens)
        guiding, told = start_decoder(guide.network, prompt_ids, prompt_mask, max_new_tokens)
        return Guided(decoder, guide, guiding), masked(logits, guide.tokens(told))

    return start
