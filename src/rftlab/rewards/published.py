"""The score of a reward model that others have trained."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from rftlab.assets import locate
from rftlab.errors import UserError
from rftlab.models.load import read_pretrained
from rftlab.models.scalar import MAIN, SOURCE, Dtype, Layout, ScalarModel, read_scalar_model
from rftlab.models.text import Tokenizer, pad, prompt_ids, token_ids
from rftlab.models.tokenizer import AsFiled
from rftlab.positions import positions_of, refuse_beyond
from rftlab.ranges import Given, Positive

log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class PromptLimit:
    """How much of a prompt is read: as much as a policy with these limits reads of it."""

    tokenizer: str | None  # whose tokens count; None = those of the reward model
    max_tokens: Positive[int] | None  # None = the whole prompt
    truncation_side: Literal["left", "right"]  # where a longer prompt loses tokens
    ending: str | None  # the end of every prompt, which is never cut


@dataclass(frozen=True, kw_only=True)
class Published:
    """Score `before` + prompt + response + `after`; no target is used.

    The model reads `max_tokens` tokens: the last ones if `truncation_side` is left, the first ones if it is right. If
    the token of the position is cut off, the last one that is left is scored. Special tokens that prompt or response
    names are text; those of `before` and `after` are special. The score of a text depends neither on its batch mates
    nor on padding.
    """

    model: ScalarModel
    tokenizer: Tokenizer
    before: str
    after: str
    position: Literal["last", "before_last"]
    max_tokens: int
    truncation_side: Literal["left", "right"]
    prompt: PromptLimit
    prompt_tokenizer: Tokenizer  # of `prompt`
    batch_size: int

    @torch.inference_mode()
    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response after its prompt.

        Raises:
            UserError: There is no token before the last one, and it is the one to score.
        """
        rows = [self.row(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))  # neighbours of equal length: little padding
        scores = np.empty(len(rows), dtype=np.float64)
        device = self.model.trunk.device
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            ids, mask = pad([rows[i][0] for i in chosen], 0, "right")  # any id, as the mask comes from lengths
            places = torch.tensor([rows[i][1] for i in chosen])
            scores[chosen] = self.model(ids.to(device), mask.to(device), places.to(device)).cpu().numpy()
        return scores

    def row(self, prompt: str, response: str) -> tuple[list[int], int]:
        """Tokenise what the model reads, and say which of its tokens is scored.

        Raises:
            UserError: There is no token before the last one, and it is the one to score.
        """
        marks = self.tokenizer.get_added_vocab()
        lead = [marks[self.before]] if self.before in marks else []
        end = token_ids(self.tokenizer, self.after, marked=True)
        text = self._read(prompt) + response
        body = token_ids(self.tokenizer, text if lead else self.before + text)
        whole = [*lead, *body, *end] or [self.tokenizer.eos_token_id]
        place = len(whole) - (1 if self.position == "last" else 2)
        if place < 0:
            found = "an empty prompt with an empty response, and reward.position=before_last"
            raise UserError(found, "a token before the last one", "reward.position, reward.before or data.rollout")
        if self.truncation_side == "left":
            lost = max(0, len(whole) - self.max_tokens)
            return whole[lost:], place - lost
        return whole[: self.max_tokens], min(place, self.max_tokens - 1)

    def _read(self, prompt: str) -> str:
        """Give the prompt as far as it is read."""
        limit, words = self.prompt, self.prompt_tokenizer
        if limit.max_tokens is None or len(token_ids(words, prompt)) <= limit.max_tokens:
            return prompt  # not tokenised and joined again, which some tokenizers do with other spaces
        ids = prompt_ids(words, prompt, limit.max_tokens, limit.truncation_side, limit.ending)
        return words.batch_decode([ids], clean_up_tokenization_spaces=False)[0]


def load(
    *,
    source: str,
    tokenizer: str | None,
    layout: Layout,
    trunk: str | None,
    weights: str | None,
    before: str,
    after: str,
    position: Literal["last", "before_last"],
    max_tokens: Positive[int],
    truncation_side: Literal["left", "right"],
    prompt: PromptLimit,
    revision: str | None,
    dtype: Dtype,
    batch_size: Positive[int],
    hub_mirror: Given[Path | None],
    device: Given[str | torch.device] = "cpu",
) -> Published:
    """Load a reward model and its tokenizers from a folder, the mirror or the hub.

    Raises:
        UserError: One of them cannot be found or read, `max_tokens` is more than it reads, or the position is none.
    """
    where = locate(source, hub_mirror, SOURCE)
    if revision is not None and isinstance(where, Path):
        log.warning("revision %s of %s is not looked for in a folder or mirror, which has one state", revision, source)
    model = read_scalar_model(
        source, layout=layout, trunk=trunk, weights=weights, dtype=dtype, hub_mirror=hub_mirror, revision=revision
    )
    vocabulary = _tokenizer(tokenizer, hub_mirror, "reward.tokenizer") if tokenizer else _tokenizer_of(where, revision)
    counted = _tokenizer(prompt.tokenizer, hub_mirror, "reward.prompt.tokenizer") if prompt.tokenizer else vocabulary
    refuse_beyond(positions_of(model.trunk.config.to_dict()), source, {"reward.max_tokens": max_tokens})
    if position == "before_last":
        _check_before_last(vocabulary, after, max_tokens)
        if model.head is None:
            found = f"reward.position=before_last in {source}, an encoder"
            raise UserError(found, "last", f"reward.position or {SOURCE}")
    return Published(
        model=model.to(device),
        tokenizer=vocabulary,
        before=before,
        after=after,
        position=position,
        max_tokens=max_tokens,
        truncation_side=truncation_side,
        prompt=prompt,
        prompt_tokenizer=counted,
        batch_size=batch_size,
    )


def _tokenizer(source: str, hub_mirror: Path | None, key: str) -> Tokenizer:
    return read_pretrained(AsFiled, locate(source, hub_mirror, key), key)


def _tokenizer_of(where: Path | str, revision: str | None) -> Tokenizer:
    """Read the tokenizer beside the weights."""
    return read_pretrained(AsFiled, where, "reward.tokenizer", revision=revision or MAIN)


def _check_before_last(tokenizer: Tokenizer, after: str, max_tokens: int) -> None:
    """Refuse what leaves no token before the last one.

    Raises:
        UserError: There is no text behind the response, or one token alone is read.
    """
    if not token_ids(tokenizer, after, marked=True):
        raise UserError("reward.position=before_last without reward.after", "the text behind it", "reward.after")
    if max_tokens < 2:
        raise UserError("reward.position=before_last with reward.max_tokens=1", "2 or more", "reward.max_tokens")
