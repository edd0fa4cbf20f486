"""One short text per split that two loads share if, and only if, they gave the same rows in the same order."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

import torch

from rftlab.data.worlds.grammar import Generated
from rftlab.types import Example, LabelSet, LabelSplits, ScoredText, Splits

DIGITS = 16  # hexadecimal
OF_ENDLESS = 200  # items of a corpus that is made while it is read


def fingerprint(splits: Splits | LabelSplits) -> dict[str, str]:
    """Hash all examples of each split: texts, targets and what else they say, and scored responses; or labelled inputs.

    Of a corpus that is made while it is read, the first items and their number stand for all.
    """
    if isinstance(splits, LabelSplits):
        return {split: _labels(getattr(splits, split)) for split in ("train", "test")}
    found = {split: _examples(getattr(splits, split)) for split in ("train", "validation", "test")}
    return found | {f"responses of {split}": _responses(rows) for split, rows in splits.responses.items()}


def _examples(examples: Sequence[Example]) -> str:
    shown = examples[:OF_ENDLESS] if isinstance(examples, Generated) else examples
    rows = ([item.id, item.prompt, list(item.targets), _sorted(item.meta)] for item in shown)
    return _hashed([str(len(examples)).encode(), *(json.dumps(row).encode() for row in rows)])


def _responses(responses: Sequence[ScoredText]) -> str:
    rows = ([item.example.id, item.example.prompt, item.response, item.score] for item in responses)
    return _hashed([str(len(responses)).encode(), *(json.dumps(row).encode() for row in rows)])


def _labels(part: LabelSet) -> str:
    if isinstance(part.inputs, torch.Tensor):
        inputs = [str(tuple(part.inputs.shape)).encode(), part.inputs.contiguous().numpy().data]
    else:
        inputs = [json.dumps(row).encode() for row in part.inputs]
    return _hashed([*inputs, json.dumps(part.labels.tolist()).encode()])


def _sorted(meta: Mapping[str, str | int | float]) -> list:
    return sorted(meta.items())


def _hashed(parts: Iterable[bytes | memoryview]) -> str:
    text = hashlib.sha256()
    for part in parts:
        text.update(part)
        text.update(b"\n")
    return text.hexdigest()[:DIGITS]
