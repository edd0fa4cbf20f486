"""The probability of a chosen class, such as the intent of a turn of a dialogue, by a sequence classifier."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rftlab.errors import UserError
from rftlab.ranges import Given, Positive
from rftlab.rewards.classifier import SOURCE, Classifier, read_classifier


def load(
    *,
    source: str,
    tokenizer: str | None,
    label: str,
    max_tokens: Positive[int],
    batch_size: Positive[int],
    hub_mirror: Given[Path | None],
    device: Given[str | torch.device] = "cpu",
) -> Classifier:
    """Load a classifier from a folder, the mirror or the hub, in float32 with dropout off.

    `label` is the class that is rewarded: its name in the classifier's config, or its number.

    Raises:
        UserError: The classifier or its tokenizer cannot be found, or it has no such class.
    """
    model, vocabulary = read_classifier(source, tokenizer, max_tokens, hub_mirror)
    return Classifier(
        model=model.to(device).eval(),
        label=_index(label, model.config.id2label or {}, source),
        tokenizer=vocabulary,
        max_tokens=max_tokens,
        batch_size=batch_size,
    )


def _index(label: str, names: Mapping[Any, str], source: str) -> int:
    found = [index for index, name in names.items() if label in (name, str(index))]
    if len(found) != 1:
        there = ", ".join(f"{index} ({name})" for index, name in sorted(names.items()))
        raise UserError(f"reward.label={label} in {source}", f"one of {there}", f"reward.label or {SOURCE}")
    return found[0]
