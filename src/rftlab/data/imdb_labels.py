"""IMDB reviews (Maas et al. 2011) with their labels, in the splits that `data=imdb` has."""

from collections.abc import Mapping

from rftlab.data.imdb import dealt
from rftlab.data.parts.rows import Misfit
from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import reviews

LABELS = ("negative", "positive")


def examples(row: Mapping) -> list[Text]:
    """Format one row: the whole review, and its label as the target."""
    if row["label"] not in range(len(LABELS)):
        raise Misfit(f"has label={row['label']}", "0 (negative) or 1 (positive)")
    return [Text(prompt=row["text"], targets=(LABELS[row["label"]],))]


DATASET = TextDataset(
    columns={"text": str, "label": int},
    examples=examples,
    bundled=reviews.rows,
    splits={"train": "train", "validation": "train", "test": "test"},
    part=dealt,
)
load = DATASET.load
