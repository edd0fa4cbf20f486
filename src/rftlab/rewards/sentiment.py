"""P(positive) by a sequence classifier, the reward of IMDB."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from rftlab.assets import locate
from rftlab.errors import UserError
from rftlab.models.load import read_pretrained
from rftlab.positions import positions_of, refuse_beyond
from rftlab.ranges import Given, Positive

SOURCE, TOKENIZER = "reward.source", "reward.tokenizer"  # the keys that name them
log = logging.getLogger("rftlab")

POSITIVE = 1  # class index, in the embedded classifier and in lvwerra/distilbert-imdb


@dataclass(frozen=True, kw_only=True)
class Sentiment:
    """Score prompt + response by the softmax probability of the positive class, in [0, 1]; references are not used.

    The classifier reads the last `max_tokens` tokens of the joined text (special tokens included), padded on the right.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase  # truncates on the left
    max_tokens: int
    batch_size: int  # texts per forward pass; the score of a text does not depend on it

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @torch.inference_mode()
    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response after its prompt."""
        texts = [prompt + response for prompt, response in zip(prompts, responses, strict=True)]
        rows = self._encode(texts)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # neighbours of equal length waste little padding
        scores = np.empty(len(rows), dtype=np.float64)
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            scores[chosen] = self._positive([rows[i] for i in chosen])
        return scores

    def _encode(self, texts: list[str]) -> list[list[int]]:
        """Tokenise, dropping tokens from the left beyond `max_tokens`; a text without tokens becomes one pad token."""
        rows = self.tokenizer(texts, truncation=True, max_length=self.max_tokens).input_ids
        return [row or [self._pad_id()] for row in rows]

    def _positive(self, rows: list[list[int]]) -> Float[np.ndarray, " b"]:
        ids, mask = _pad_right(rows, self._pad_id())
        device = self.model.device
        logits = self.model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits.float()
        return logits.softmax(-1)[:, POSITIVE].cpu().numpy().astype(np.float64)

    def _pad_id(self) -> int:
        return self.tokenizer.pad_token_id


def load(
    *,
    source: str,
    tokenizer: str | None,
    max_tokens: Positive[int],
    batch_size: Positive[int],
    at_chance: bool,
    hub_mirror: Given[Path | None],
    device: Given[str | torch.device] = "cpu",
) -> Sentiment:
    """Load a classifier from `asset:NAME`, a folder, the mirror or the hub, in float32 with dropout off.

    `at_chance` allows real reviews to be scored with the embedded classifier, which knows the generated ones alone
    (accuracy 0.515 on 1,000 real ones); composition refuses the pair without it, and the log says so with it.

    Raises:
        UserError: the classifier or its tokenizer cannot be found, or it does not have two classes.
    """
    if at_chance:
        log.warning(
            "the reward, %s, tells real reviews apart no better than chance: no score of them means much", source
        )
    where = locate(source, hub_mirror, SOURCE)
    words = where if tokenizer is None else locate(tokenizer, hub_mirror, TOKENIZER)
    model = read_pretrained(AutoModelForSequenceClassification, where, SOURCE, dtype=torch.float32)
    vocabulary: PreTrainedTokenizerBase = read_pretrained(AutoTokenizer, words, TOKENIZER, truncation_side="left")
    if model.config.num_labels != 2:
        raise UserError(
            f"the classifier {source} has {model.config.num_labels} classes",
            "two: negative and positive",
            SOURCE,
        )
    refuse_beyond(positions_of(model.config.to_dict()), source, {"reward.max_tokens": max_tokens})
    return Sentiment(model=model.to(device).eval(), tokenizer=vocabulary, max_tokens=max_tokens, batch_size=batch_size)


def _pad_right(rows: list[list[int]], pad_id: int) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad_id] * (longest - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(longest) < lengths[:, None]
