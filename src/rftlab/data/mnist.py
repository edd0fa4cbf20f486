"""MNIST (LeCun et al. 1998): handwritten digits as normalised images of one channel."""

from pathlib import Path

from rftlab.data.parts.images import ImageFormat, image_dataset
from rftlab.data.parts.splits import Origin, Source
from rftlab.data.worlds import digits
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import LabelSplits

FORMAT = ImageFormat(column="image", mode="L", side=28, mean=(0.1307,), std=(0.3081,))
DATASET = image_dataset(FORMAT, classes=10, bundled=digits.rows)


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
    """Load images, (n, 1, 28, 28) with the normalisation of Razin et al. 2024, and their digits."""
    origin = Origin(source=source, hub_id=hub_id, hub_config=hub_config, hub_mirror=hub_mirror, seed=seed)
    return DATASET.load(origin, n_train=n_train, n_test=n_test)
