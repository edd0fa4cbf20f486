"""MNIST (LeCun et al. 1998): handwritten digits as normalised images of one channel."""

from pathlib import Path

from rftlab.data.hub import check_source, read_split
from rftlab.data.images import ImageFormat, Rows, load_splits
from rftlab.data.worlds import digits
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import LabelSplits

FORMAT = ImageFormat(column="image", mode="L", side=28, mean=(0.1307,), std=(0.3081,), classes=10)


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
    """Load train and test images, (n, 1, 28, 28) with the normalisation of Razin et al. 2024, and their digits.

    The `n_*` limits keep a class-stratified random subset (drawn from `seed`, in the dataset's order; None = all); with
    `source=bundled` the seed also divides the digits of scikit-learn into the two splits.

    Raises:
        UserError: an unknown source, anything missing on the hub or in the mirror, rows of another kind, or a limit
            below the number of classes.
    """
    check_source(source)

    def read(split: str) -> Rows:
        if source == "bundled":
            return list(digits.rows(seed, split))
        return read_split(hub_id, hub_config, split, hub_mirror, (FORMAT.column, "label"))

    return load_splits(FORMAT, read, name=hub_id, n_train=n_train, n_test=n_test, seed=seed, source=source)
