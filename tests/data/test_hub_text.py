"""Any dataset of the hub by its columns, from a mirror."""

from pathlib import Path
from typing import Any

import pytest
from members import write

from rftlab.data.hub_text import load
from rftlab.data.parts.columns import Names, Shares
from rftlab.data.parts.pairs import Drop
from rftlab.errors import UserError
from rftlab.types import Splits

ROWS = [{"about": {"q": f"q{i}"}, "a": f"a{i}", "w": f"w{i}", "l": "l"} for i in range(20)]
BOTH = Names(train="train", validation=None, test="test")


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    write(tmp_path / "org" / "set", {"train": ROWS, "test": [row | {"about": {"q": f"t{row['a']}"}} for row in ROWS]})
    return tmp_path


def read(mirror: Path, **changes: Any) -> Splits:
    columns = dict.fromkeys(("target", "response", "score", "chosen", "rejected"))
    arguments: dict[str, Any] = {
        "source": "hub",
        "hub_id": "org/set",
        "hub_config": None,
        "hub_revision": None,
        "hub_dir": None,
        "prompt_column": "about.q",
        **{f"{name}_column": None for name in columns},
        "names": BOTH,
        "shares": Shares(validation=0.25, test=0.25, seed=0),
        "drop_empty": False,
        "drop_duplicates": False,
        "drop_pairs": Drop(identical=False, contradicting=False, empty=False),
        "n_train": None,
        "n_validation": None,
        "n_test": None,
        "seed": 0,
    }
    return load(hub_mirror=mirror, **(arguments | changes))


def test_named_splits_are_read_and_the_others_dealt_from_train(mirror: Path) -> None:
    splits = read(mirror, target_column="a")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [15, 5, 20]
    assert {(e.prompt, *e.targets) for part in (splits.train, splits.validation) for e in part} == {
        (f"q{i}", f"a{i}") for i in range(20)
    }
    pairs = read(mirror, chosen_column="w", rejected_column="l").responses
    assert {split: len(rows) for split, rows in pairs.items()} == {"train": 30, "validation": 10}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt_column": "q"}, "has no column q .*change data.prompt.column, data.target.column"),
        (
            {"names": Names(train="train", validation="dev", test="test")},
            "has no split 'dev' .it has train, test.*; change data.loader.names.validation .or .*=null: dealt",
        ),
        (
            {"names": Names(train="all", validation=None, test=None)},
            "no split 'all' .*; change data.loader.names.train$",
        ),
        ({"hub_id": "org/none"}, "no dataset org/none"),
        ({"prompt_column": "about"}, "row 1 of split 'train' of org/set has about=.*; expected a text"),
        ({"source": "bundled"}, "data.source=bundled"),
        ({"hub_id": None}, "data.loader.hub_id=null"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(mirror: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(mirror, **changes)
