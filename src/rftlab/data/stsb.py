"""STS-B (Cer et al. 2017, in GLUE): pairs of sentences with their similarity, as six classes."""

from collections.abc import Mapping

from rftlab.data.parts.classes import LabelDataset
from rftlab.data.worlds import pairs


def pair(row: Mapping) -> tuple[str, str]:
    """Take both sentences of one row."""
    return row["sentence1"], row["sentence2"]


DATASET = LabelDataset(
    columns={"sentence1": str, "sentence2": str, "label": float},
    classes=6,
    input=pair,
    label=round,  # a half to the even class
    bundled=pairs.rows,
    splits={"train": "train", "test": "validation"},  # the labels of GLUE's own test split are withheld
    stratified=False,  # as in Razin et al. 2024
)
load = DATASET.load
