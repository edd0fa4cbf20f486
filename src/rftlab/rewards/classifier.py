"""The probability of one class by a sequence classifier: what sentiment, intent and the like share."""

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
from rftlab.models.load import read_pretrained, read_whole
from rftlab.positions import positions_of, refuse_beyond

SOURCE, TOKENIZER = "reward.source", "reward.tokenizer"  # the keys that name them


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """Score prompt + response by the softmax probability of one class, in [0, 1]; references are not used.

    The classifier reads the last `max_tokens` tokens of the joined text (special tokens included), padded on the right.
    """

    model: PreTrainedModel
    label: int  # index of the class
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
            scores[chosen] = self._probability([rows[i] for i in chosen])
        return scores

    def _encode(self, texts: list[str]) -> list[list[int]]:
        """Tokenise, dropping tokens from the left beyond `max_tokens`; a text without tokens becomes one pad token.

        Special tokens that a text names are text: a response cannot end what the classifier reads.
        """
        rows = self.tokenizer(texts, truncation=True, max_length=self.max_tokens, split_special_tokens=True).input_ids
        return [row or [self._pad_id()] for row in rows]

    def _probability(self, rows: list[list[int]]) -> Float[np.ndarray, " b"]:
        ids, mask = _pad_right(rows, self._pad_id())
        device = self.model.device
        logits = self.model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits.float()
        return logits.softmax(-1)[:, self.label].cpu().numpy().astype(np.float64)

    def _pad_id(self) -> int:
        return self.tokenizer.pad_token_id


def read_classifier(
    source: str, tokenizer: str | None, max_tokens: int, hub_mirror: Path | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Read a classifier from `asset:NAME`, a folder, the mirror or the hub, in float32; its tokenizer cuts on the left.

    Raises:
        UserError: The classifier or its tokenizer cannot be found, or `max_tokens` is more than it reads.
    """
    where = locate(source, hub_mirror, SOURCE)
    words = where if tokenizer is None else locate(tokenizer, hub_mirror, TOKENIZER)
    model = read_whole(AutoModelForSequenceClassification, where, SOURCE, dtype=torch.float32)
    vocabulary: PreTrainedTokenizerBase = read_pretrained(AutoTokenizer, words, TOKENIZER, truncation_side="left")
    refuse_beyond(positions_of(model.config.to_dict()), source, {"reward.max_tokens": max_tokens})
    return model, vocabulary


def _pad_right(rows: list[list[int]], pad_id: int) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad_id] * (longest - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(longest) < lengths[:, None]
