"""Datasets of inputs with one of K labels each: from rows to inputs and labels of the two splits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from rftlab.data.parts.rows import Columns, Misfit, Rows
from rftlab.data.parts.splits import Origin, Source, World, take, tell_shortage
from rftlab.errors import UserError
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import LabelSet, LabelSplits


@dataclass(frozen=True, kw_only=True)
class LabelDataset:
    """What one classification dataset is; how it is loaded is the same for all.

    Attributes:
        columns: what is read, with the kind of each value; the column `label` among them.
        classes: number of classes, K.
        input: formats the input of one row; it may refuse a row by a `Misfit`.
        inputs: joins the inputs of all rows.
        label: makes the class, 0 to K - 1, of the value in `label`, which lies in the same range.
        bundled: generates rows in the hub's schema.
        splits: for each of our splits, the split of the hub dataset that it is.
        stratified: subsets have the class shares of the data.
    """

    columns: Columns
    classes: int
    input: Callable[[Mapping[str, Any]], Any]
    inputs: Callable[[list], Any] = tuple
    label: Callable[[float], int] = int
    bundled: World
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": "train", "test": "test"})
    stratified: bool

    def load(
        self,
        *,
        source: Given[Source],
        hub_id: str,
        hub_config: str | None,
        hub_revision: str | None,
        hub_mirror: Given[Path | None],
        n_train: Positive[int] | None,
        n_test: Positive[int] | None,
        seed: NonNegative[int],
    ) -> LabelSplits:
        """Load both splits; the limits keep a random subset of each, in the dataset's order (None = all).

        Raises:
            UserError: an unknown source, anything missing on the hub or in the mirror, a row of another kind, a label
                out of range, or a limit below the number of classes.
        """
        origin = Origin(
            source=source,
            hub_id=hub_id,
            hub_config=hub_config,
            hub_revision=hub_revision,
            hub_mirror=hub_mirror,
            seed=seed,
        )
        check_limits({"n_train": n_train, "n_test": n_test}, self.classes)
        return LabelSplits(
            train=self._label_set(origin, "train", n_train),
            test=self._label_set(origin, "test", n_test),
            source=origin.source,
        )

    def _label_set(self, origin: Origin, split: str, limit: int | None) -> LabelSet:
        rows = origin.rows(self.splits[split], self.columns, self.bundled)
        labels = torch.tensor(self._labels(rows), dtype=torch.int64)
        if self.stratified:
            tell_shortage(len(rows), limit, split)
            chosen = stratified(labels.numpy(), limit, origin.draw(split)).tolist()
        else:
            chosen = take(range(len(rows)), limit, origin.draw(split), split)
        return LabelSet(inputs=self.inputs(list(rows.make(chosen, self.input))), labels=labels[chosen])

    def _labels(self, rows: Rows) -> list[int]:
        """Read the labels alone, which decodes no image."""
        whole = "a whole number" if self.columns["label"] is int else "a number"

        def label(value: float) -> int:
            if not 0 <= value <= self.classes - 1:
                raise Misfit(f"has label={value}", f"{whole} from 0 to {self.classes - 1}")
            return self.label(value)

        return rows.column("label", label)


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
