"""The score of a reward model that others have trained."""

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
from rftlab.models.scalar import SOURCE, Dtype, Layout, ScalarModel, read_scalar_model
from rftlab.models.text import Tokenizer, pad, token_ids
from rftlab.models.tokenizer import AsFiled
from rftlab.positions import positions_of, refuse_beyond
from rftlab.ranges import Given, Positive


@dataclass(frozen=True, kw_only=True)
class Published:
    """Score `before` + prompt + response + `after`; no target is used.

    The model reads the last `max_tokens` tokens. Special tokens that prompt or response names are text; those of
    `before` and `after` are special. The score of a text depends neither on its batch mates nor on padding.
    """

    model: ScalarModel
    tokenizer: Tokenizer
    before: str
    after: str
    position: Literal["last", "before_last"]
    max_tokens: int
    batch_size: int

    @torch.inference_mode()
    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response after its prompt."""
        rows = [self._ids(prompt + response) for prompt, response in zip(prompts, responses, strict=True)]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # neighbours of equal length waste little padding
        scores = np.empty(len(rows), dtype=np.float64)
        device = self.model.trunk.device
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            ids, mask = pad([rows[i] for i in chosen], 0, "right")  # any id, as the mask comes from lengths
            position = mask.sum(1) - (1 if self.position == "last" else 2)
            scores[chosen] = self.model(ids.to(device), mask.to(device), position.to(device)).cpu().numpy()
        return scores

    def _ids(self, text: str) -> list[int]:
        marks = self.tokenizer.get_added_vocab()
        lead = [marks[self.before]] if self.before in marks else []
        end = token_ids(self.tokenizer, self.after, marked=True)
        body = token_ids(self.tokenizer, text if lead else self.before + text)
        return ([*lead, *body, *end] or [self.tokenizer.eos_token_id])[-self.max_tokens :]


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
    dtype: Dtype,
    batch_size: Positive[int],
    hub_mirror: Given[Path | None],
    device: Given[str | torch.device] = "cpu",
) -> Published:
    """Load a reward model and its tokenizer from a folder, the mirror or the hub.

    Raises:
        UserError: One of them cannot be found or read, `max_tokens` is more than it reads, or the position is none.
    """
    model = read_scalar_model(source, layout=layout, trunk=trunk, weights=weights, dtype=dtype, hub_mirror=hub_mirror)
    words = locate(source if tokenizer is None else tokenizer, hub_mirror, "reward.tokenizer")
    vocabulary: Tokenizer = read_pretrained(AsFiled, words, "reward.tokenizer")
    refuse_beyond(positions_of(model.trunk.config.to_dict()), source, {"reward.max_tokens": max_tokens})
    if position == "before_last" and not token_ids(vocabulary, after, marked=True):
        raise UserError("reward.position=before_last without reward.after", "the text behind it", "reward.after")
    if position == "before_last" and model.head is None:
        raise UserError(f"reward.position=before_last in {source}, an encoder", "last", f"reward.position or {SOURCE}")
    return Published(
        model=model.to(device),
        tokenizer=vocabulary,
        before=before,
        after=after,
        position=position,
        max_tokens=max_tokens,
        batch_size=batch_size,
    )
