"""IMDB reviews (Maas et al. 2011) as continuations: first half of a review the prompt, second half the target."""

from collections.abc import Mapping

import numpy as np

from rftlab.data.parts.rows import Rows
from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import reviews

POSITIVE = 1
SHUFFLE_SEED = 42  # of the original split rule; independent of the run's seed
TRAIN_SHARE = 0.8  # of the shuffled train split; the rest is validation
TEST_SIZE = 5000  # first reviews of the shuffled test split


def examples(row: Mapping) -> list[Text]:
    """Format one row: the first half of its words (split at single spaces) and the rest."""
    words = row["text"].split(" ")
    half = len(words) // 2
    return [Text(prompt=" ".join(words[:half]), targets=(" ".join(words[half:]),), meta={"label": row["label"]})]


def dealt(split: str, rows: Rows) -> list[int]:
    """Number the reviews of a split, in the order of `datasets.Dataset.shuffle(seed=42)`.

    Train: 80 % of the train split. Validation: the other 20 %. Test: 5,000.
    """
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(rows)).tolist()
    if split == "test":
        return order[:TEST_SIZE]
    cut = int(len(order) * TRAIN_SHARE)
    return order[cut:] if split == "validation" else order[:cut]


def part(split: str, rows: Rows) -> list[int]:
    """Number the reviews of a split that are continued: of train the positive ones alone."""
    numbers = dealt(split, rows)
    if split != "train":
        return numbers
    labels = rows.column("label", int, of_null=lambda: POSITIVE)  # such a row is refused or dropped
    return [number for number in numbers if labels[number] == POSITIVE]


DATASET = TextDataset(
    columns={"text": str, "label": int},
    examples=examples,
    bundled=reviews.rows,
    splits={"train": "train", "validation": "train", "test": "test"},
    part=part,
    needs="reviews of both labels (0 negative, 1 positive)",
)
load = DATASET.load
