"""BERTScore: how well the tokens of a response and a reference match in the states of a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import (
    AutoModel,
    AutoTokenizer,
    GPT2Tokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RobertaTokenizer,
)

from rftlab.assets import locate
from rftlab.errors import UserError
from rftlab.models.load import read_pretrained
from rftlab.positions import positions_of, refuse_beyond
from rftlab.ranges import Given, Positive
from rftlab.rewards.references import with_references

SOURCE, TOKENIZER = "reward.source", "reward.tokenizer"  # the keys that name them


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A text in the network: the directions of all its tokens, and which of them count (all but start and end)."""

    states: Float[Tensor, "t d"]
    counts: list[int]  # positions


@dataclass(frozen=True, kw_only=True)
class BertScore:
    """Score a response by its best BERTScore F1 over the references (Zhang et al. 2020), without idf or rescaling.

    Precision is the mean over tokens of the response of the highest cosine with a token of the reference, recall the
    same the other way; both may be below 0. Equal to bert-score 0.3.13, where an empty response ends the batch with
    transformers 5; here it scores 0. No score depends on the texts beside it.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    num_layers: int
    max_tokens: int
    batch_size: int

    score_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response; each different text is read once.

        Raises:
            UserError: A row has no reference.
        """
        rows = list(with_references(prompts, responses, targets))
        texts = dict.fromkeys(text for response, references in rows for text in (response, *references))
        known = self._embedded(list(texts))
        scores = [max((_f1(known[text], known[gold]) for gold in golds), default=0.0) for text, golds in rows]
        return np.array(scores, dtype=np.float64)

    @torch.inference_mode()
    def _embedded(self, texts: list[str]) -> dict[str, Embedded]:
        """Read texts of about one length together, which wastes little padding."""
        ids = {text: self._ids(text) for text in texts}
        found = {text: Embedded(states=torch.empty(0, 0), counts=[]) for text in texts if not self._counting(ids[text])}
        order = sorted((text for text in texts if text not in found), key=lambda text: len(ids[text]))
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            states = self._states([ids[text] for text in chosen])
            for text, row in zip(chosen, states, strict=True):
                whole = row[: len(ids[text])]
                unit = whole / whole.norm(dim=-1, keepdim=True)
                found[text] = Embedded(states=unit.cpu(), counts=self._counting(ids[text]))
        return found

    def _ids(self, text: str) -> list[int]:
        """Tokenise as bert-score does: byte-level tokenizers see a word behind a space."""
        text = text.strip()
        if text and isinstance(self.tokenizer, (GPT2Tokenizer, RobertaTokenizer)):
            text = f" {text}"
        return self.tokenizer(text, truncation=True, max_length=self.max_tokens).input_ids

    def _counting(self, ids: list[int]) -> list[int]:
        aside = (self.tokenizer.cls_token_id, self.tokenizer.sep_token_id)
        return [position for position, token in enumerate(ids) if token not in aside]

    def _states(self, rows: list[list[int]]) -> Float[Tensor, "b t d"]:
        longest, device = max(map(len, rows)), self.model.device
        pad = self.tokenizer.pad_token_id or 0
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=device)
        mask = torch.arange(longest, device=device) < torch.tensor([[len(row)] for row in rows], device=device)
        output = self.model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
        return output.hidden_states[self.num_layers].float()


def load(
    *,
    source: str,
    tokenizer: str | None,
    num_layers: Positive[int],
    max_tokens: Positive[int],
    batch_size: Positive[int],
    hub_mirror: Given[Path | None],
    device: Given[str | torch.device] = "cpu",
) -> BertScore:
    """Load an encoder from a folder, the mirror or the hub, in float32 with dropout off.

    Raises:
        UserError: It cannot be found, is no encoder, or has fewer layers or positions.
    """
    where = locate(source, hub_mirror, SOURCE)
    words = where if tokenizer is None else locate(tokenizer, hub_mirror, TOKENIZER)
    model: PreTrainedModel = read_pretrained(AutoModel, where, SOURCE, dtype=torch.float32)
    vocabulary: PreTrainedTokenizerBase = read_pretrained(AutoTokenizer, words, TOKENIZER)
    if model.config.is_encoder_decoder:
        raise UserError(f"{SOURCE}={source}, an encoder with a decoder", "an encoder, e.g. of BERT's kind", SOURCE)
    layers = model.config.num_hidden_layers
    if num_layers > layers:
        raise UserError(f"reward.num_layers={num_layers} in {source}", f"at most {layers}", "reward.num_layers")
    refuse_beyond(positions_of(model.config.to_dict()), source, {"reward.max_tokens": max_tokens})
    return BertScore(
        model=model.to(device).eval(),
        tokenizer=vocabulary,
        num_layers=num_layers,
        max_tokens=max_tokens,
        batch_size=batch_size,
    )


def _f1(response: Embedded, reference: Embedded) -> float:
    """Match each token that counts with the nearest of all tokens of the other text."""
    if not response.counts or not reference.counts:
        return 0.0
    cosines = response.states @ reference.states.T
    precision = cosines[response.counts].max(1).values.mean()
    recall = cosines[:, reference.counts].max(0).values.mean()
    total = precision + recall
    return float(2 * precision * recall / total) if total else 0.0
