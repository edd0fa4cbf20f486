"""Checks of rows: which value is named, how, and what is read of a row."""

import datasets
import pytest

from rftlab.data.parts.rows import Misfit, Rows, check
from rftlab.errors import UserError

COLUMNS = {"story.text": str, "answers": [{"text": str}], "score": float, "label": int}
ROW = {"story.text": "A.", "answers": [{"text": "B"}, {"text": "C"}], "score": 1, "label": 2}
OTHER = [  # what is changed, and what is said of it
    ({"story.text": 5}, "has story.text=5; expected a text"),
    ({"answers": "B"}, "has answers='B'; expected a list"),
    ({"answers": [{"text": "B"}, {"text": None}]}, r"has answers\[1\].text=None; expected a text"),
    ({"answers": [{"words": 1}]}, r"has no answers\[0\].text; expected a text"),
    ({"answers": ["B"]}, r"has answers\[0\]='B'; expected a record with text"),
    ({"score": "1"}, "has score='1'; expected a number"),
    ({"label": 2.0}, "has label=2.0; expected a whole number"),
    ({"label": "x" * 100}, "has label='x{56}[.]{3}; expected a whole number"),
]


@pytest.mark.parametrize("extra", [{}, {"score": 0.5}, {"answers": []}, {"more": None}])
def test_rows_with_what_is_read_fit_whatever_else_they_hold(extra: dict):
    check(ROW | extra, COLUMNS, "")


@pytest.mark.parametrize(("change", "said"), OTHER)
def test_the_first_value_of_another_kind_is_named_with_the_way_to_it(change: dict, said: str):
    with pytest.raises(Misfit, match=f"^{said}$"):
        check(ROW | change, COLUMNS, "")


def test_fields_of_generated_rows_are_read_by_names_with_dots():
    data = [{"a": {"b": {"c": n}, "d": 0}, "e": n} for n in range(3)]
    rows = Rows(data=data, columns={"a.b.c": int, "e": int}, place="")
    assert list(rows.make([2, 0], lambda row: row)) == [{"a.b.c": 2, "e": 2}, {"a.b.c": 0, "e": 0}]


def test_rows_of_the_hub_are_read_by_their_numbers():
    data = datasets.Dataset.from_list([{"a": str(n), "b": n} for n in range(50)])
    rows = Rows(data=data, columns={"a": str, "b": int}, place="")
    numbers = [*range(49, -1, -7), 3, 3]
    assert list(rows.make(numbers, lambda row: row["a"])) == [str(number) for number in numbers]
    assert rows.column("b", lambda value: value + 1) == list(range(1, 51))


def test_a_wrong_row_of_the_hub_is_named_by_its_number():
    data = datasets.Dataset.from_list([{"a": None if n == 33 else "x"} for n in range(50)])
    rows = Rows(data=data, columns={"a": str}, place="split 'train' of org/set")
    found = "row 33 of split 'train' of org/set has a=None; expected a text; change data.loader.hub_id"
    for read in (lambda: list(rows.make(range(49, -1, -1), len)), lambda: rows.column("a", len)):
        with pytest.raises(UserError, match=found):
            read()
