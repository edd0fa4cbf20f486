"""Datasets of prompts that are answered with text: from rows to the examples of the three splits."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rftlab.data.parts.rows import Columns, Rows
from rftlab.data.parts.splits import Origin, Source, World, take
from rftlab.data.worlds.grammar import Generated
from rftlab.errors import UserError
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Example, Splits

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Text:
    """What a row says: a prompt with its gold texts; an example is this with a name."""

    prompt: str
    targets: tuple[str, ...]
    meta: Mapping[str, str | int | float] = field(default_factory=dict)


def every_row(split: str, rows: Rows) -> Sequence[int]:
    """Number the rows of a split that is the hub's own."""
    return range(len(rows))


@dataclass(frozen=True, kw_only=True)
class TextDataset:
    """What one dataset of prompts is; how it is loaded is the same for all.

    Attributes:
        columns: what `examples` reads, with the kind of each value.
        examples: formats one row. It gives one text, or any number where `merged` is set, and may refuse a row by a
            `Misfit`.
        bundled: generates rows in the hub's schema.
        splits: for each of our splits, the split of the hub dataset that its rows come from.
        part: numbers of the rows that belong to one of our splits, in its order.
        needs: what such a part needs to have rows, for the error if it has none.
        merged: examples with the same prompt become one, with the targets of all.
    """

    columns: Columns
    examples: Callable[[Mapping[str, Any]], Iterable[Text]]
    bundled: World
    splits: Mapping[str, str] = field(default_factory=lambda: {split: split for split in SPLITS})
    part: Callable[[str, Rows], Sequence[int]] = every_row
    needs: str = "at least one row"
    merged: bool = False

    def load(
        self,
        *,
        source: Given[Source],
        hub_id: str,
        hub_config: str | None,
        hub_mirror: Given[Path | None],
        n_train: Positive[int] | None,
        n_validation: Positive[int] | None,
        n_test: Positive[int] | None,
        seed: NonNegative[int],
    ) -> Splits:
        """Load the three splits; the limits keep a random subset of each, in the dataset's order (None = all).

        Raises:
            UserError: an unknown source, anything missing on the hub or in the mirror, a row of another kind, a split
                without rows, or a merged prompt without a target.
        """
        origin = Origin(source=source, hub_id=hub_id, hub_config=hub_config, hub_mirror=hub_mirror, seed=seed)
        rows = {split: origin.rows(split, self.columns, self.bundled) for split in dict.fromkeys(self.splits.values())}
        limits = dict(zip(SPLITS, (n_train, n_validation, n_test), strict=True))
        made = {split: self.examples_of(rows[self.splits[split]], split, limits[split], origin) for split in SPLITS}
        return Splits(train=made["train"], validation=made["validation"], test=made["test"], source=origin.source)

    def examples_of(self, rows: Rows, split: str, limit: int | None, origin: Origin) -> list[Example]:
        """Make the examples of one of our splits from the rows that hold it.

        Raises:
            UserError: a row of another kind, a split without rows, or a merged prompt without a target.
        """
        numbers = self.part(split, rows)
        if len(numbers) == 0:
            found = f"no row of {rows.place} is left for split '{split}'"
            raise UserError(found, self.needs, "data.loader.hub_id or paths.hub_mirror")
        # each generated row is an example of its own, so that only the rows of the subset are made
        if self.merged and not isinstance(rows.data, Generated):
            texts = merge(rows, numbers, self.examples)
            kept = take(list(enumerate(texts)), limit, origin.draw(split), split)
        else:
            places = take(range(len(numbers)), limit, origin.draw(split), split)
            texts = rows.make([numbers[place] for place in places], self._only)
            kept = zip(places, texts, strict=True)
        return [
            Example(id=f"{split}-{place}", prompt=text.prompt, targets=text.targets, meta=text.meta)
            for place, text in kept
        ]

    def _only(self, row: Mapping[str, Any]) -> Text:
        (text,) = self.examples(row)
        return text


def merge(rows: Rows, numbers: Sequence[int], examples: Callable[[Mapping[str, Any]], Iterable[Text]]) -> list[Text]:
    """Format rows; texts with the same prompt become one with the distinct targets of all, where the first stood.

    Raises:
        UserError: a row of another kind, or a prompt without any target.
    """
    first: dict[str, tuple[int, Text]] = {}
    targets: dict[str, dict[str, None]] = {}
    for number, texts in zip(numbers, rows.make(numbers, lambda row: list(examples(row))), strict=True):
        for text in texts:
            first.setdefault(text.prompt, (number, text))
            targets.setdefault(text.prompt, {}).update(dict.fromkeys(text.targets))
    for number, text in first.values():
        if not targets[text.prompt]:
            raise rows.error(
                number,
                f"has no target text (its prompt starts with '{text.prompt[:60]}')",
                "at least one target per prompt, since the reward compares with them",
            )
    return [Text(prompt=prompt, targets=tuple(targets[prompt]), meta=text.meta) for prompt, (_, text) in first.items()]
