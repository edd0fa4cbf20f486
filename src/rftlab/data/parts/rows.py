"""The rows of one split, checked while they are read: a wrong value ends in one line that says where it stands."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from PIL import Image

from rftlab.errors import UserError

if TYPE_CHECKING:  # a tenth of a run's imports, for rows of the hub alone
    import datasets

T = TypeVar("T")

Kind: TypeAlias = "type | Mapping[str, Kind] | list[Kind]"  # a list of one kind: any number of values of that kind
Columns = Mapping[str, Kind]  # what a dataset reads: columns, or fields inside them by names with dots

WORDS = {str: "a text", int: "a whole number", float: "a number", Image.Image: "an image"}
MISSING = object()  # in the place of a field that a record lacks
BATCH = 16  # rows that are decoded together, which takes half the time of decoding them one by one
DECODING_ERRORS = (OSError, SyntaxError, ValueError)  # what Pillow and pyarrow raise for bytes that they cannot decode


class Misfit(Exception):
    """Say what is wrong with a row, and what was expected; `Rows` adds which row it is and which key to change."""

    def __init__(self, found: str, expected: str) -> None:
        self.found, self.expected = found, expected
        super().__init__(f"{found}; expected {expected}")


class Null(Misfit):
    """A value is missing in a row that may be left out for it."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one split, numbered from 0, with the columns that a dataset reads."""

    data: "datasets.Dataset | Sequence[Mapping[str, Any]]"
    columns: Columns
    place: str  # which rows these are, for errors

    def __len__(self) -> int:
        return len(self.data)

    def column(self, name: str, form: Callable[[Any], T], of_null: Callable[[], T] | None = None) -> list[T]:
        """Read one column and form each of its values; no other column is decoded.

        A null becomes what `of_null` makes, or is refused.

        Raises:
            UserError: a value of another kind, or one that `form` refuses by a `Misfit`.
        """
        values = [row[name] for row in self.data] if isinstance(self.data, Sequence) else self.data[name][:]
        return [self._formed(number, value, name, form, of_null) for number, value in enumerate(values)]

    def make(
        self,
        numbers: Sequence[int],
        form: Callable[[Mapping[str, Any]], T],
        of_null: Callable[[], T] | None = None,
        key: str | None = None,
    ) -> Iterator[T]:
        """Read these rows, in this order, and form each of them; no other row is read.

        A row with a null in what is declared becomes what `of_null` makes, or is refused; `key` leaves such rows out.

        Raises:
            UserError: a row that cannot be decoded, a value of another kind, or a row that `form` refuses by a
                `Misfit`.
        """
        rows = self._picked(numbers) if isinstance(self.data, Sequence) else self._decoded(self.data, numbers)
        for number, row in zip(numbers, rows, strict=True):
            yield self._formed(number, row, "", form, of_null, key)

    def error(self, number: int, found: str, expected: str) -> UserError:
        """Word what is wrong with a row."""
        return UserError(
            f"row {number} of {self.place} {found}",
            expected,
            "data.loader.hub_id or paths.hub_mirror to a dataset with such rows, or data.source=bundled",
        )

    def _picked(self, numbers: Sequence[int]) -> Iterator[Mapping[str, Any]]:
        """Take what is read from generated rows."""
        ways = {name: name.split(".") for name in self.columns}
        for number in numbers:
            row = self.data[number]
            yield {name: reduce(getitem, way, row) for name, way in ways.items()}

    def _decoded(self, data: "datasets.Dataset", numbers: Sequence[int]) -> Iterator[Mapping[str, Any]]:
        chosen = data.select(numbers)
        for start in range(0, len(numbers), BATCH):
            try:
                batch = chosen[start : start + BATCH]
            except DECODING_ERRORS:
                self._name_undecodable(chosen, numbers, start)
                raise
            for values in zip(*batch.values(), strict=True):
                yield dict(zip(batch, values, strict=True))

    def _name_undecodable(self, chosen: "datasets.Dataset", numbers: Sequence[int], start: int) -> None:
        """Read the rows of a batch one by one, and refuse the one that cannot be decoded."""
        for place in range(start, min(start + BATCH, len(numbers))):
            try:
                chosen[place]
            except DECODING_ERRORS as error:
                found = f"cannot be decoded ({type(error).__name__})"
                raise self.error(numbers[place], found, "rows as the hub has them") from error

    def _formed(
        self,
        number: int,
        value: Any,
        column: str,
        form: Callable[[Any], T],
        of_null: Callable[[], T] | None = None,
        key: str | None = None,
    ) -> T:
        """Check a row, or a column of it where one is named, and form it."""
        try:
            if not isinstance(self.data, Sequence):  # rows of bundled worlds are checked by tests
                check(value, self.columns[column] if column else self.columns, column)
            return form(value)
        except Misfit as misfit:
            if isinstance(misfit, Null) and of_null is not None:
                return of_null()
            left_out = f", or {key}=true to leave such rows out" if isinstance(misfit, Null) and key else ""
            raise self.error(number, misfit.found, misfit.expected + left_out) from misfit


def check(value: object, kind: Kind, path: str) -> None:
    """Compare a value, and everything in it that is declared, with its kind.

    Args:
        value: a row, or a column of it.
        kind: what is expected.
        path: the name of the column; empty for a row.

    Raises:
        Misfit: The first value of another kind, with the way to it, e.g. `answers[0].text`.
    """
    wrong = _wrong(value, kind)
    if wrong is not None:
        way, found, expected = wrong
        place = (path + way).lstrip(".")
        kind_of_error = Null if found is None else Misfit
        raise kind_of_error(f"has no {place}" if found is MISSING else f"has {place}={_short(found)}", expected)


def _wrong(value: object, kind: Kind) -> tuple[str, object, str] | None:
    """Find the first value of another kind: the way to it, the value, and what was expected."""
    if isinstance(kind, type):
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        return None if fits else ("", value, WORDS.get(kind, f"a {kind.__name__}"))
    if isinstance(kind, list):
        if not isinstance(value, list):
            return "", value, "a list"
        for index, item in enumerate(value):
            if wrong := _wrong(item, kind[0]):
                return f"[{index}]{wrong[0]}", *wrong[1:]
        return None
    if not isinstance(value, dict):
        return "", value, f"a record with {', '.join(kind)}"
    for name, inner in kind.items():
        if wrong := _wrong(value.get(name, MISSING), inner):
            return f".{name}{wrong[0]}", *wrong[1:]
    return None


def _short(value: object) -> str:
    """Show a value on one line; of long ones, the beginning."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
