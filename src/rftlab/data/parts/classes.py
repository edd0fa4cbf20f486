"""What the classification loaders share: checks of class labels and of the limits, and class-stratified subsets."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from rftlab.errors import UserError


def check_limits(limits: Mapping[str, int | None], classes: int) -> None:
    """Refuse limits that leave no row for some class; keys are `n_train` and `n_test`, None keeps all rows.

    Raises:
        UserError: a limit below the number of classes.
    """
    for key, limit in limits.items():
        if limit is not None and limit < classes:
            raise UserError(
                f"data.loader.{key}={limit}", f"at least {classes}, one row per class, or null", f"data.loader.{key}"
            )


def class_labels(labels: Sequence, classes: int, place: str) -> Int[Tensor, " n"]:
    """Make a tensor of class numbers; `place` says in errors which rows these are.

    Raises:
        UserError: a label that is not a whole number from 0 to `classes - 1`.
    """
    for label in labels:
        if not isinstance(label, int) or not 0 <= label < classes:
            raise wrong_label(label, place, f"whole numbers from 0 to {classes - 1}")
    return torch.tensor(labels, dtype=torch.int64)


def wrong_label(label: object, place: str, expected: str) -> UserError:
    """Make the error for a label that the task does not have."""
    return UserError(
        f"label {label} in {place}",
        expected,
        "data.loader.hub_id or paths.hub_mirror to a dataset with such labels, or data.source=bundled",
    )


def stratified(labels: Int[np.ndarray, " n"], size: int | None, rng: np.random.Generator) -> Int[np.ndarray, " m"]:
    """Choose rows at random with the class shares of the data; positions in ascending order.

    The places that rounding down leaves go to the classes with the largest remainders. None, or a size of n or more,
    keeps all rows.
    """
    if size is None or size >= len(labels):
        return np.arange(len(labels))
    counts = np.bincount(labels)
    quotas = size * counts / len(labels)
    sizes = np.floor(quotas).astype(int)
    first = np.argsort(sizes - quotas, kind="stable")[: size - sizes.sum()]
    sizes[first] += 1
    chosen = [rng.choice(np.flatnonzero(labels == label), size=n, replace=False) for label, n in enumerate(sizes)]
    return np.sort(np.concatenate(chosen))
