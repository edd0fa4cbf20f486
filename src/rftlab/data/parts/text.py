"""Datasets of prompts that are answered with text: from rows to the examples of the three splits."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rftlab.data.parts.counting import Drop, kept, tell
from rftlab.data.parts.rows import Columns, Misfit, Rows
from rftlab.data.parts.splits import Origin, Source, World, take
from rftlab.data.worlds.grammar import Generated
from rftlab.errors import UserError
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Example, ScoredText, Splits

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Text:
    """What a row says: a prompt with its gold texts; an example is this with a name."""

    prompt: str
    targets: tuple[str, ...]
    meta: Mapping[str, str | int | float] = field(default_factory=dict)


EMPTY = Text(prompt="", targets=("",))  # stands for a row with a null until it is counted and dropped
KEY = "data.loader.drop.empty"
EXPECTED = f"a text in every target, or {KEY}=true to leave such rows out"


def every_row(split: str, rows: Rows) -> Sequence[int]:
    """Number the rows of a split that is the hub's own."""
    return range(len(rows))


@dataclass(frozen=True, kw_only=True)
class TextDataset:
    """What one dataset of prompts is; how it is loaded is the same for all.

    Attributes:
        columns: what `examples` reads, with the kind of each value.
        examples: formats one row. It gives one text, or any number where `several` or `merged` is set, and may refuse
            a row by a `Misfit`.
        bundled: generates rows in the hub's schema.
        splits: for each of our splits, the split of the hub dataset that its rows come from.
        part: numbers of the rows that belong to one of our splits, in its order.
        needs: what such a part needs to have rows, for the error if it has none.
        several: a row gives any number of examples, and limits count these.
        merged: examples with the same prompt become one, with the targets of all.
        empty_targets: a target may have no text, as replies of pairs, and is counted.
    """

    columns: Columns
    examples: Callable[[Mapping[str, Any]], Iterable[Text]]
    bundled: World
    splits: Mapping[str, str] = field(default_factory=lambda: {split: split for split in SPLITS})
    part: Callable[[str, Rows], Sequence[int]] = every_row
    needs: str = "at least one row"
    several: bool = False
    merged: bool = False
    empty_targets: bool = False

    def load(
        self,
        *,
        source: Given[Source],
        hub_id: str,
        hub_config: str | None,
        hub_revision: str | None,
        hub_mirror: Given[Path | None],
        n_train: Positive[int] | None,
        n_validation: Positive[int] | None,
        n_test: Positive[int] | None,
        seed: NonNegative[int],
        drop: Drop,
    ) -> Splits:
        """Load the three splits; the limits keep a random subset of each, in the dataset's order (None = all).

        What stands out among these rows is said in the log; what `drop` names is then left out.

        Raises:
            UserError: an unknown source, anything missing on the hub or in the mirror, a row of another kind, a split
                without rows, or a target without text that is not dropped.
        """
        origin = Origin(
            source=source,
            hub_id=hub_id,
            hub_config=hub_config,
            hub_revision=hub_revision,
            hub_mirror=hub_mirror,
            seed=seed,
        )
        rows = {split: origin.rows(split, self.columns, self.bundled) for split in dict.fromkeys(self.splits.values())}
        limits = dict(zip(SPLITS, (n_train, n_validation, n_test), strict=True))
        made = {
            split: self.examples_of(rows[self.splits[split]], split, limits[split], origin, drop) for split in SPLITS
        }
        return self.splits_of(made, origin, drop)

    def splits_of(
        self,
        made: Mapping[str, Sequence[Example]],
        origin: Origin,
        drop: Drop,
        responses: Mapping[str, Sequence[ScoredText]] = MappingProxyType({}),
    ) -> Splits:
        """Say in the log what stands out among the examples, leave out what `drop` names, and join the splits.

        Raises:
            UserError: nothing is left of a split.
        """
        left = kept(made, drop)
        tell(
            f"rows of {origin.hub_id}" if origin.source == "hub" else f"generated rows for {origin.hub_id}", made, left
        )
        if nothing := next((split for split, examples in left.items() if not examples), None):
            raise UserError(f"data.loader.drop leaves no row of split '{nothing}'", self.needs, "data.loader.drop")
        train, validation, test = (left[split] for split in SPLITS)
        return Splits(train=train, validation=validation, test=test, source=origin.source, responses=responses)

    def examples_of(self, rows: Rows, split: str, limit: int | None, origin: Origin, drop: Drop) -> list[Example]:
        """Make the examples of one of our splits from the rows that hold it.

        Raises:
            UserError: a row of another kind, a split without rows, or a target without text that is not dropped.
        """
        numbers = self.part(split, rows)
        if len(numbers) == 0:
            found = f"no row of {rows.place} is left for split '{split}'"
            raise UserError(found, self.needs, "data.loader.hub_id or paths.hub_mirror")
        if self.several or (self.merged and not isinstance(rows.data, Generated)):
            lists = self._texts(rows, numbers, drop)
            texts = merge(rows, numbers, lists, drop) if self.merged else [text for texts in lists for text in texts]
            chosen = take(list(enumerate(texts)), limit, origin.draw(split), split)
        else:  # each row is an example of its own, as generated rows are where others are merged: only a subset is read
            places = take(range(len(numbers)), limit, origin.draw(split), split)
            lists = self._texts(rows, [numbers[place] for place in places], drop)
            chosen = ((place, text) for place, (text,) in zip(places, lists, strict=True))
        return [
            Example(id=f"{split}-{place}", prompt=text.prompt, targets=text.targets, meta=text.meta)
            for place, text in chosen
        ]

    def _texts(self, rows: Rows, numbers: Sequence[int], drop: Drop) -> Iterator[list[Text]]:
        """Format rows; with `drop.empty` a row with a null becomes `EMPTY`, and targets without text may stand."""
        form = (lambda row: list(self.examples(row))) if drop.empty or self.empty_targets else self._complete
        return rows.make(numbers, form, (lambda: [EMPTY]) if drop.empty else None, KEY)

    def _complete(self, row: Mapping[str, Any]) -> list[Text]:
        """Format a row whose targets all have text."""
        texts = list(self.examples(row))
        for text in texts:
            if not all(target.strip() for target in text.targets):
                raise Misfit(f"has an empty target (its prompt starts with {text.prompt[:60]!r})", EXPECTED)
        return texts


def merge(rows: Rows, numbers: Sequence[int], lists: Iterable[list[Text]], drop: Drop) -> list[Text]:
    """Make texts with the same prompt one, with the distinct targets of all, where the first stood; `EMPTY` stays.

    Raises:
        UserError: a row of another kind, or a prompt without any target that is not dropped.
    """
    first: dict[str, tuple[int, Text]] = {}
    targets: dict[str, dict[str, None]] = {}
    empty: list[Text] = []
    for number, texts in zip(numbers, lists, strict=True):
        empty += [text for text in texts if text is EMPTY]
        for text in (text for text in texts if text is not EMPTY):
            first.setdefault(text.prompt, (number, text))
            targets.setdefault(text.prompt, {}).update(dict.fromkeys(text.targets))
    for number, text in first.values():
        if not (targets[text.prompt] or drop.empty):
            raise rows.error(number, f"has no target text (its prompt starts with {text.prompt[:60]!r})", EXPECTED)
    made = (
        Text(prompt=prompt, targets=tuple(targets[prompt]) or ("",), meta=text.meta)
        for prompt, (_, text) in first.items()
    )
    return [*made, *empty]
