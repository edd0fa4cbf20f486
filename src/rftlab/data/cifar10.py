"""CIFAR-10 (Krizhevsky 2009): small photographs of ten classes as normalised images of three channels."""

from pathlib import Path

from rftlab.data.hub import check_source, read_split
from rftlab.data.images import ImageFormat, Rows, load_splits
from rftlab.data.worlds import pictures
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import LabelSplits

FORMAT = ImageFormat(
    column="img", mode="RGB", side=32, mean=(0.491, 0.482, 0.446), std=(0.247, 0.243, 0.261), classes=10
)


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
    """Load train and test images, (n, 3, 32, 32) with the normalisation of Razin et al. 2024, and their classes.

    The `n_*` limits keep a class-stratified random subset (drawn from `seed`, in the dataset's order; None = all); with
    `source=bundled` the seed also generates the pictures.

    Raises:
        UserError: an unknown source, anything missing on the hub or in the mirror, rows of another kind, or a limit
            below the number of classes.
    """
    check_source(source)

    def read(split: str) -> Rows:
        if source == "bundled":
            return list(pictures.rows(seed, split))
        return read_split(hub_id, hub_config, split, hub_mirror, (FORMAT.column, "label"))

    return load_splits(FORMAT, read, name=hub_id, n_train=n_train, n_test=n_test, seed=seed, source=source)
