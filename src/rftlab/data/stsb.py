"""STS-B (Cer et al. 2017, in GLUE): pairs of sentences with their similarity, as six classes."""

from collections.abc import Mapping
from pathlib import Path

from rftlab.data.parts.classes import LabelDataset
from rftlab.data.parts.splits import Origin, Source
from rftlab.data.worlds import pairs
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import LabelSplits


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
    stratified=False,
)


def load(
    *,
    source: Given[Source],
    hub_id: str,
    hub_config: str | None,
    hub_mirror: Given[Path | None],
    n_train: Positive[int] | None,
    n_test: Positive[int] | None,
    seed: NonNegative[int],
) -> LabelSplits:
    """Load pairs of sentences with classes 0-5; the subsets are not stratified, as in Razin et al. 2024."""
    origin = Origin(source=source, hub_id=hub_id, hub_config=hub_config, hub_mirror=hub_mirror, seed=seed)
    return DATASET.load(origin, n_train=n_train, n_test=n_test)
