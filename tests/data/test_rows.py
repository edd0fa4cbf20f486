"""Checks of rows: which value is named, how, and what is read of a row."""

import datasets
import pytest

from rftlab.data.parts.rows import Misfit, Rows, check
from rftlab.errors import UserError

COLUMNS = {"story": {"text": str}, "answers": [{"text": str}], "score": float, "label": int}
ROW = {"story": {"text": "A."}, "answers": [{"text": "B"}, {"text": "C"}], "score": 1, "label": 2}
OTHER = [  # what is changed, and what is said of it
    ({"story": None}, "has story=None; expected a record with text"),
    ({"story": {"title": "A."}}, "has no story.text; expected a text"),
    ({"story": {"text": 5}}, "has story.text=5; expected a text"),
    ({"answers": "B"}, "has answers='B'; expected a list"),
    ({"answers": [{"text": "B"}, {"text": None}]}, r"has answers\[1\].text=None; expected a text"),
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


def test_a_row_of_the_hub_is_read_by_its_number_and_its_declared_columns_alone():
    data = datasets.Dataset.from_list([{"a": str(n), "b": n} for n in range(5)])
    rows = Rows(data=data, columns={"a": str}, place="split 'train' of org/set")
    assert list(rows.make([3, 1], lambda row: row)) == [{"a": "3"}, {"a": "1"}]
    assert rows.column("a", int) == [0, 1, 2, 3, 4]
    found = "row 3 of split 'train' of org/set has b=3; expected a text; change data.loader.hub_id or paths.hub_mirror"
    with pytest.raises(UserError, match=found):
        list(Rows(data=data, columns={"b": str}, place=rows.place).make([3, 1], lambda row: row))
