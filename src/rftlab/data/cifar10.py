"""CIFAR-10 (Krizhevsky 2009): small photographs of ten classes as normalised images of three channels."""

from pathlib import Path

from rftlab.data.parts.images import ImageFormat, image_dataset
from rftlab.data.parts.splits import Origin, Source
from rftlab.data.worlds import pictures
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import LabelSplits

FORMAT = ImageFormat(column="img", mode="RGB", side=32, mean=(0.491, 0.482, 0.446), std=(0.247, 0.243, 0.261))
DATASET = image_dataset(FORMAT, classes=10, bundled=pictures.rows)


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
    """Load images, (n, 3, 32, 32) with the normalisation of Razin et al. 2024, and their classes."""
    origin = Origin(source=source, hub_id=hub_id, hub_config=hub_config, hub_mirror=hub_mirror, seed=seed)
    return DATASET.load(origin, n_train=n_train, n_test=n_test)
