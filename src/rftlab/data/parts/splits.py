"""Where the rows of a dataset come from, and which of them a run sees; the same for every dataset."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from rftlab.data.parts.rows import Columns, Rows
from rftlab.data.worlds.grammar import generator
from rftlab.errors import UserError

T = TypeVar("T")

Source = Literal["bundled", "hub"]
World = Callable[[int, str], Sequence[Mapping[str, Any]]]  # a seed and a split of the hub dataset -> generated rows

log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the rows come from: the bundled world, or the hub, of which `hub_mirror` may be a local copy.

    The seed generates the rows of the bundled world and draws the subset of each split, whatever the source.
    """

    source: Source
    hub_id: str
    hub_config: str | None
    hub_mirror: Path | None
    seed: int
    hub_revision: str | None = None  # a branch or commit; None is the main branch
    hub_dir: str | None = None  # the folder of the hub dataset that is read; None = what its card says

    def __post_init__(self) -> None:
        """Refuse a source other than `bundled` or `hub`."""
        if self.source not in get_args(Source):
            raise UserError(f"data.source={self.source}", "bundled or hub", "data.source")

    def rows(self, split: str, columns: Columns, bundled: World) -> Rows:
        """Give the rows of a split of the hub dataset, or of its bundled counterpart.

        Raises:
            UserError: anything missing on the hub or in the mirror.
        """
        if self.source == "bundled":
            data = bundled(self.seed, split)
        else:
            from rftlab.data.parts.hub import read_split  # imports `datasets`, for rows of the hub alone

            data = read_split(
                self.hub_id,
                self.hub_config,
                split,
                self.hub_mirror,
                tuple(columns),
                revision=self.hub_revision,
                data_dir=self.hub_dir,
            )
        folder = f"/{self.hub_dir}" if self.hub_dir else ""
        return Rows(data=data, columns=columns, place=f"split '{split}' of {self.hub_id}{folder}")

    def draw(self, split: str) -> np.random.Generator:
        """Make the generator that draws the subset of a split."""
        return generator(self.seed, "subset", split)


def half(split: str, keys: Sequence[str]) -> list[int]:
    """Number the rows in one half of a split without another one beside it, for validation and for test.

    Rows with equal keys are in one half: the keys, in the order of their hashes, are cut in the middle.
    """
    known = sorted(set(keys), key=lambda key: hashlib.sha256(key.encode()).digest())
    middle = (len(known) + 1) // 2
    chosen = set(known[:middle] if split == "validation" else known[middle:])
    return [number for number, key in enumerate(keys) if key in chosen]


def take(items: Sequence[T], n: int | None, rng: np.random.Generator, split: str) -> list[T]:
    """Keep a random subset of at most n items, in the order given; None keeps all, and fewer are told."""
    tell_shortage(len(items), n, split)
    return drawn(items, n, rng)


def drawn(items: Sequence[T], n: int | None, rng: np.random.Generator) -> list[T]:
    """Keep the subset that `take` keeps, without a word."""
    if n is None or n >= len(items):
        return list(items)
    return [items[int(i)] for i in np.sort(rng.choice(len(items), size=n, replace=False))]


def tell_shortage(found: int, limit: int | None, split: str) -> None:
    """Say so when a split has fewer rows than the limit: a small mirror is not the dataset that a config names."""
    if limit is not None and found < limit:
        log.warning("split '%s' has %d rows, fewer than data.loader.n_%s=%d: all are taken", split, found, split, limit)


def check_generated(source: str) -> None:
    """Refuse to read a dataset from the hub that is only ever generated."""
    if source != "bundled":
        raise UserError(f"data.source={source}", "bundled, as this dataset is generated and on no hub", "data.source")
