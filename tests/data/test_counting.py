"""What stands out among the rows of a load: counted in one line, left out only where the config says so."""

import logging
import re
from pathlib import Path
from typing import Any

import datasets
import pytest
from members import write

from rftlab.data import commongen, imdb, iwslt2017, narrativeqa, totto
from rftlab.data.parts.counting import Drop, count, is_empty, kept
from rftlab.errors import UserError
from rftlab.types import Example, Splits

ALL, NOTHING = Drop(duplicates=True, empty=True), Drop(duplicates=False, empty=False)
EMPTY = Drop(duplicates=False, empty=True)


def examples(*texts: str) -> list[Example]:
    """Make one example of each `prompt>target`."""
    pairs = [text.split(">") for text in texts]
    return [Example(id=f"{n}", prompt=prompt, targets=tuple(more)) for n, (prompt, *more) in enumerate(pairs)]


SPLITS = {
    "train": examples("a>1", "b>1", "a>1", "c>1", "d>1", "a>2", "a>1", " >1", "e> "),
    "validation": examples("c>1", "f>1", "d>1"),
    "test": examples("d>1", "g>1", "g>1", "a>3"),
}


def test_rows_are_equal_if_prompt_and_targets_are():
    counts = count(SPLITS)
    assert counts.rows == {"train": 9, "validation": 3, "test": 4}
    assert counts.duplicates == {"train": 2, "validation": 0, "test": 1}
    assert counts.prompts == {"train": 3, "validation": 0, "test": 1}
    assert counts.shared == {"train": 2, "validation": 1, "test": 0}
    assert counts.empty == {"train": 2, "validation": 0, "test": 0}


def test_the_line_names_splits_where_there_is_something():
    assert count(SPLITS).told() == (
        "train 9, validation 3, test 4; duplicates: train 2, test 1; with a prompt of before: train 3, test 1; "
        "also in a later split: train 2, validation 1; empty or with a null: train 2"
    )
    assert count({"train": examples("a>1")}).told().endswith("empty or with a null: 0")


def test_of_equal_rows_the_first_of_the_last_split_stays():
    left = kept(SPLITS, Drop(duplicates=True, empty=False))
    assert [(e.id, e.prompt) for e in left["train"]] == [("0", "a"), ("1", "b"), ("5", "a"), ("7", " "), ("8", "e")]
    assert [e.prompt for e in left["validation"]] == ["c", "f"]
    assert [e.id for e in left["test"]] == ["0", "1", "3"]


def test_nothing_is_left_out_unless_it_is_said_and_what_is_left_is_clean():
    assert kept(SPLITS, NOTHING) == SPLITS
    assert [e.prompt for e in kept(SPLITS, EMPTY)["train"]] == ["a", "b", "a", "c", "d", "a", "a"]
    counts = count(kept(SPLITS, ALL))
    assert not any([*counts.duplicates.values(), *counts.shared.values(), *counts.empty.values()])


@pytest.mark.parametrize(("text", "empty"), [("a>1", False), ("a", False), ("a>1>\t", True), ("\n>1", True)])
def test_a_prompt_or_a_target_without_text_is_empty_but_no_target_at_all_is_not(text: str, empty: bool):
    assert is_empty(examples(text)[0]) == empty


# --- loads --------------------------------------------------------------------------------------------------------


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def load(module: Any, mirror: Path, drop: Drop) -> Splits:
    limits = {"n_train": None, "n_validation": None, "n_test": None, "seed": 0}
    given = {"source": "hub", "hub_id": "org/set", "hub_config": None, "hub_revision": None, "hub_mirror": mirror}
    return module.load(**given, **limits, drop=drop)


def pairs(*texts: tuple[str | None, str | None]) -> list[dict]:
    return [{"translation": {"en": english, "de": german}} for english, german in texts]


def test_a_load_says_in_one_line_what_it_found(mirror: Path, caplog: pytest.LogCaptureFixture):
    rows = pairs(("Yes", "Ja"), ("No", "Nein"), ("Yes", "Ja"))
    write(mirror / "org" / "set", {"train": rows, "validation": rows[:1], "test": pairs(("Oh", "Oh"))})
    with caplog.at_level(logging.INFO, "rftlab"):
        splits = load(iwslt2017, mirror, NOTHING)
    assert caplog.messages == [
        "rows of org/set: train 3, validation 1, test 1; duplicates: train 1; with a prompt of before: train 1; "
        "also in a later split: train 1; empty or with a null: 0; dropped: 0"
    ]
    assert len(splits.train) == 3
    caplog.clear()
    with caplog.at_level(logging.INFO, "rftlab"):
        assert [e.targets for e in load(iwslt2017, mirror, ALL).train] == [("Nein",)]
    assert caplog.messages[0].endswith("dropped: 2")


@pytest.mark.parametrize("german", [" ", None])
def test_an_empty_target_or_a_null_is_refused_with_its_row_and_dropped_where_asked_for(
    mirror: Path, german: str | None, caplog: pytest.LogCaptureFixture
):
    rows = pairs(("Yes", "Ja"), ("No", german), ("Oh", "Oh"))
    write(mirror / "org" / "set", dict.fromkeys(("train", "validation", "test"), rows))
    found = (
        r"row 1 of split 'train' of org/set has (an empty target .*German: No.*drop\.empty=true|translation\.de=None)"
    )
    with pytest.raises(UserError, match=found):
        load(iwslt2017, mirror, NOTHING)
    with caplog.at_level(logging.INFO, "rftlab"):
        assert [e.targets for e in load(iwslt2017, mirror, EMPTY).train] == [("Ja",), ("Oh",)]
    assert "empty or with a null: train 1, validation 1, test 1; dropped: 3" in caplog.text


@pytest.mark.parametrize("module", [commongen, totto, imdb], ids=lambda module: module.__name__)
def test_a_null_in_the_column_that_decides_the_split_is_refused_or_dropped_as_elsewhere(
    module: Any, mirror: Path, caplog: pytest.LogCaptureFixture
):
    """Each split of the hub has a row with a null there; to which of ours it belongs nobody can say."""
    column = {commongen: "concepts", totto: "table_page_title", imdb: "label"}[module]
    made = {split: module.DATASET.bundled(0, split)[:40] for split in dict.fromkeys(module.DATASET.splits.values())}
    write(mirror / "org" / "set", {split: [*rows, dict(rows[0]) | {column: None}] for split, rows in made.items()})
    with pytest.raises(UserError, match=rf"row 40 of split '\w+' of org/set has {column}=None; .*drop\.empty=true"):
        load(module, mirror, NOTHING)
    with caplog.at_level(logging.INFO, "rftlab"):
        assert load(module, mirror, EMPTY).train
    assert re.search(r"empty or with a null: (\w+ 1(, )?)+; dropped: [1-3]$", caplog.text.strip())


def test_a_split_of_which_nothing_is_left_is_refused(mirror: Path):
    rows = pairs(("Yes", "Ja"))
    write(mirror / "org" / "set", {"train": rows, "validation": rows, "test": pairs(("Oh", "Oh"))})
    with pytest.raises(
        UserError, match=r"data\.loader\.drop leaves no row of split 'train'; .*; change data.loader.drop"
    ):
        load(iwslt2017, mirror, ALL)


def test_a_value_of_another_kind_is_refused_all_the_same(mirror: Path):
    write(mirror / "org" / "set", {"train": [{"text": "a b", "label": "x"}], "test": [{"text": "a b", "label": "x"}]})
    with pytest.raises(UserError, match="has label='x'"):
        load(imdb, mirror, ALL)


def test_merged_questions_without_an_answer_and_rows_with_a_null_are_dropped_and_counted(
    mirror: Path, caplog: pytest.LogCaptureFixture
):
    asked = [("Who?", ["Bob"]), ("Where?", [" "]), (None, ["x"]), (None, ["y"])]
    rows = [
        {
            "document": {"summary": {"text": "A man."}},
            "question": {"text": question},
            "answers": [{"text": text} for text in answers],
        }
        for question, answers in asked
    ]
    write(mirror / "org" / "set", dict.fromkeys(("train", "validation", "test"), rows))
    with caplog.at_level(logging.INFO, "rftlab"):
        assert [e.targets for e in load(narrativeqa, mirror, EMPTY).train] == [("bob",)]
    assert "empty or with a null: train 3, validation 3, test 3; dropped: 9" in caplog.text
