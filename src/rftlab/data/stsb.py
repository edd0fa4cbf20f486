"""STS-B (Cer et al. 2017, in GLUE): pairs of sentences with their similarity, as six classes."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from rftlab.data.classes import check_limits, wrong_label
from rftlab.data.hub import check_source, read_split, take
from rftlab.data.worlds import pairs
from rftlab.data.worlds.grammar import generator
from rftlab.errors import UserError
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import LabelSet, LabelSplits

COLUMNS = ("sentence1", "sentence2", "label")
CLASSES = 6
HUB_SPLITS = {"train": "train", "test": "validation"}  # the labels of GLUE's own test split are withheld


def load(
    *,
    source: Given[str],
    hub_id: str,
    hub_config: str | None,
    hub_mirror: Given[Path | None],
    n_train: Positive[int] | None,
    n_test: Positive[int] | None,
    seed: NonNegative[int],
) -> LabelSplits:
    """Load pairs of sentences with classes 0-5, GLUE's train split for training and its validation split for testing.

    The `n_*` limits keep a random subset (drawn from `seed`, in the dataset's order, not stratified; None = all, as in
    Razin et al. 2024); with `source=bundled` the seed also generates the pairs.

    Raises:
        UserError: an unknown source, anything missing on the hub or in the mirror, rows of another kind, or a limit
            below the number of classes.
    """
    check_source(source)
    limits = {"n_train": n_train, "n_test": n_test}
    check_limits(limits, CLASSES)

    def label_set(split: str) -> LabelSet:
        rows: Iterable[Mapping] = (
            pairs.rows(seed, HUB_SPLITS[split])
            if source == "bundled"
            else read_split(hub_id, hub_config, HUB_SPLITS[split], hub_mirror, COLUMNS)
        )
        place = f"split '{HUB_SPLITS[split]}' of {hub_id}"
        made = [to_pair(row, place) for row in rows]
        chosen = take(made, limits[f"n_{split}"], generator(seed, "subset", split), split)
        return LabelSet(
            inputs=tuple(pair for pair, _ in chosen),
            labels=torch.tensor([label for _, label in chosen], dtype=torch.int64),
        )

    return LabelSplits(train=label_set("train"), test=label_set("test"), source=source)


def to_pair(row: Mapping, place: str) -> tuple[tuple[str, str], int]:
    """Format one row of the hub's schema: both sentences, and the class by Python's `round` (a half to even).

    Raises:
        UserError: a sentence without text, or a label outside 0-5.
    """
    first, second, score = (row[column] for column in COLUMNS)
    if not isinstance(first, str) or not isinstance(second, str):
        raise UserError(
            f"a row in {place} lacks a sentence",
            "two sentences per row",
            "data.loader.hub_id or paths.hub_mirror, or data.source=bundled",
        )
    if not isinstance(score, int | float) or not 0 <= score <= CLASSES - 1:
        raise wrong_label(score, place, f"similarities from 0 to {CLASSES - 1}")
    return (first, second), round(score)
