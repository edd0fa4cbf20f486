"""What stands out among the rows of a load, said in one line; nothing is left out unless the config says so."""

import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rftlab.types import Example

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Said = tuple[str, tuple[str, ...]]

log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Which rows are left out of what was drawn; none, unless a config says so."""

    duplicates: bool  # the later ones of equal rows in a split, and those that validation or test have too
    empty: bool  # a field is null, or the prompt or a target has no character but white space


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What there is in each split; a row is a prompt with its targets."""

    rows: Mapping[str, int]
    duplicates: Mapping[str, int]  # beyond the first of equal rows
    prompts: Mapping[str, int]  # beyond the first row of a prompt, whatever its targets
    shared: Mapping[str, int]  # that a later split has too
    empty: Mapping[str, int]

    def told(self) -> str:
        """Say it in one line."""
        found = {
            "duplicates": self.duplicates,
            "with a prompt of before": self.prompts,
            "also in a later split": self.shared,
            "empty or with a null": self.empty,
        }
        parts = (f"{what}: {_listed(((k, n) for k, n in counts.items() if n)) or 0}" for what, counts in found.items())
        return "; ".join([_listed(self.rows.items()), *parts])


def count(splits: Mapping[str, Sequence[Example]]) -> Counts:
    """Count what stands out; `splits` are in the order train, validation, test."""
    known = {split: {_said(example) for example in examples} for split, examples in splits.items()}
    return Counts(
        rows={split: len(examples) for split, examples in splits.items()},
        duplicates={split: len(examples) - len(known[split]) for split, examples in splits.items()},
        prompts={split: len(examples) - len({e.prompt for e in examples}) for split, examples in splits.items()},
        shared={split: len(known[split] & later(known, split)) for split in splits},
        empty={split: sum(map(is_empty, examples)) for split, examples in splits.items()},
    )


def kept(splits: Mapping[str, Sequence[Example]], drop: Drop) -> dict[str, list[Example]]:
    """Leave out what `drop` names: of equal rows the first of the last split stays, so that no test row is lost."""
    left = {split: list(examples) for split, examples in splits.items()}
    if drop.empty:
        left = {split: [example for example in rows if not is_empty(example)] for split, rows in left.items()}
    if drop.duplicates:
        known = {split: {_said(example) for example in rows} for split, rows in left.items()}
        left = {split: distinct(rows, _said, later(known, split)) for split, rows in left.items()}
    return left


def tell(rows: str, splits: Mapping[str, Sequence[Example]], left: Mapping[str, Sequence[Example]]) -> None:
    """Say in the log what stands out among the rows that were drawn, and how many of them were left out."""
    dropped = sum(map(len, splits.values())) - sum(map(len, left.values()))
    log.info("%s: %s; dropped: %d", rows, count(splits).told(), dropped)


def is_empty(example: Example) -> bool:
    """Say whether the prompt or one of the targets has no character but white space."""
    return not all(text.strip() for text in (example.prompt, *example.targets))


def _said(example: Example) -> Said:
    return example.prompt, example.targets


def later(known: Mapping[str, set[K]], split: str) -> set[K]:
    """Return what the splits behind this one have; `known` is in the order train, validation, test."""
    names = list(known)
    return set[K]().union(*(known[name] for name in names[names.index(split) + 1 :]))


def distinct(rows: Sequence[T], said: Callable[[T], K], taken: Collection[K]) -> list[T]:
    """Keep the first of rows that say the same, of those that are not taken."""
    first = {said(row): row for row in reversed(list(rows))}
    return [row for row in rows if first[said(row)] is row and said(row) not in taken]


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{split} {number:,}" for split, number in counts)
