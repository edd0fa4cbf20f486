"""The rows of one split, checked while they are read: a wrong value ends in one line that says where it stands."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import datasets
from PIL import Image

from rftlab.errors import UserError

T = TypeVar("T")

Kind: TypeAlias = "type | Mapping[str, Kind] | list[Kind]"  # a list of one kind: any number of values of that kind
Columns = Mapping[str, Kind]  # the columns that a dataset reads, and inside them the fields that it reads

WORDS = {str: "a text", int: "a whole number", float: "a number", Image.Image: "an image"}
DECODING_ERRORS = (OSError, SyntaxError, ValueError)  # what Pillow and pyarrow raise for bytes that they cannot decode


class Misfit(Exception):
    """Say what is wrong with a row, and what was expected; `Rows` adds which row it is and which key to change."""

    def __init__(self, found: str, expected: str) -> None:
        self.found, self.expected = found, expected
        super().__init__(f"{found}; expected {expected}")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one split, numbered from 0; whoever reads them gets the declared columns and nothing else."""

    data: datasets.Dataset | Sequence[Mapping[str, Any]]
    columns: Columns
    place: str  # which rows these are, for errors

    def __len__(self) -> int:
        return len(self.data)

    def column(self, name: str, form: Callable[[Any], T]) -> list[T]:
        """Read one column and form each of its values; no other column is decoded.

        Raises:
            UserError: a value of another kind, or one that `form` refuses by a `Misfit`.
        """
        hub = isinstance(self.data, datasets.Dataset)
        values = self.data[name][:] if hub else [row[name] for row in self.data]
        kind = self.columns[name]
        return [self._formed(number, value, kind, name, form) for number, value in enumerate(values)]

    def make(self, numbers: Sequence[int], form: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
        """Read these rows, in this order, and form each of them; no other row is read.

        Raises:
            UserError: a row that cannot be decoded, a value of another kind, or a row that `form` refuses by a
                `Misfit`.
        """
        rows = iter(self._chosen(numbers))
        for number in numbers:
            try:
                row = next(rows)
            except DECODING_ERRORS as error:
                raise self.error(
                    number, f"cannot be decoded ({type(error).__name__})", "rows as the hub has them"
                ) from error
            yield self._formed(number, {name: row[name] for name in self.columns}, self.columns, "", form)

    def error(self, number: int, found: str, expected: str) -> UserError:
        """Word what is wrong with a row."""
        return UserError(
            f"row {number} of {self.place} {found}",
            expected,
            "data.loader.hub_id or paths.hub_mirror to a dataset with such rows, or data.source=bundled",
        )

    def _chosen(self, numbers: Sequence[int]) -> Iterator[Mapping[str, Any]]:
        if isinstance(self.data, datasets.Dataset):
            return iter(self.data.select(numbers))
        return (self.data[number] for number in numbers)

    def _formed(self, number: int, value: Any, kind: Kind, path: str, form: Callable[[Any], T]) -> T:
        try:
            check(value, kind, path)
            return form(value)
        except Misfit as misfit:
            raise self.error(number, misfit.found, misfit.expected) from misfit


def check(value: object, kind: Kind, path: str) -> None:
    """Compare a value, and everything in it that is declared, with its kind.

    Args:
        value: a row, a column of it, or a field of a column.
        kind: what is expected.
        path: where the value stands in its row, e.g. `answers[0].text`; empty for the row.

    Raises:
        Misfit: The first value of another kind.
    """
    if isinstance(kind, type):
        if not isinstance(value, (int, float) if kind is float else kind):
            raise Misfit(f"has {path}={_short(value)}", WORDS.get(kind, f"a {kind.__name__}"))
    elif isinstance(kind, list):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise Misfit(f"has {path}={_short(value)}", "a list")
        for index, item in enumerate(value):
            check(item, kind[0], f"{path}[{index}]")
    else:
        if not isinstance(value, Mapping):
            raise Misfit(f"has {path}={_short(value)}", f"the fields {', '.join(kind)}")
        for name, inner in kind.items():
            if name not in value:
                raise Misfit(f"has no {path}.{name}", f"the fields {', '.join(kind)} in {path}")
            check(value[name], inner, f"{path}.{name}".lstrip("."))


def _short(value: object) -> str:
    """Show a value on one line; of long ones, the beginning."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
