"""Files of the user's own: formats, splits by a column or by shares, responses and pairs, and what is refused."""

import csv
import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from rftlab.data.file import load
from rftlab.data.parts.columns import Names, Shares
from rftlab.data.parts.fingerprint import fingerprint
from rftlab.data.parts.pairs import Drop
from rftlab.errors import UserError
from rftlab.types import Example, Splits

COLUMNS = ("prompt", "target", "response", "score", "chosen", "rejected", "split")
ROWS = [
    {"q": f'What, "{i}"?\n', "a": f" {i}  é" if i else "NA", "s": ("train", "dev", "test")[i % 3]} for i in range(12)
]


def read(path: Path, drop_empty: bool = False, **changes: Any) -> Splits:
    columns = {f"{name}_column": changes.pop(name, None) for name in COLUMNS}
    arguments: dict[str, Any] = {
        "names": Names(train="train", validation="dev", test="test"),
        "shares": Shares(validation=0.25, test=0.25, seed=0),
        "drop_empty": drop_empty,
        "drop_duplicates": False,
        "drop_pairs": Drop(identical=False, contradicting=False, empty=False),
        "n_train": None,
        "n_validation": None,
        "n_test": None,
        "seed": 0,
    }
    return load(source="file", hub_mirror=None, path=str(path), **columns, **(arguments | changes))


def written(folder: Path, ending: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"rows{ending}"
    if ending == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            made = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            made.writeheader()
            made.writerows(rows)
    elif ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        datasets.Dataset.from_list(rows).to_parquet(path)
    return path


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_every_format_keeps_the_characters_of_texts(tmp_path: Path, ending: str) -> None:
    splits = read(written(tmp_path, ending, ROWS), prompt="q", target="a", split="s")
    found = {
        split: [(e.prompt, *e.targets) for e in getattr(splits, split)] for split in ("train", "validation", "test")
    }
    assert found == {
        split: [(row["q"], row["a"]) for row in ROWS if row["s"] == name]
        for split, name in (("train", "train"), ("validation", "dev"), ("test", "test"))
    }
    assert splits.responses == {}


def test_prompts_are_dealt_by_shares_and_all_rows_of_one_go_together(tmp_path: Path) -> None:
    rows = [{"q": f"q{i % 20}", "a": f"a{i}"} for i in range(60)]
    splits = read(written(tmp_path, ".csv", rows), prompt="q", target="a")
    parts = [{e.prompt for e in part} for part in (splits.train, splits.validation, splits.test)]
    assert [len(part) for part in parts] == [10, 5, 5]
    assert len(set.union(*parts)) == 20
    assert all(len(e.targets) == 3 for e in splits.train)  # one example per prompt, with the targets of its rows
    again = read(written(tmp_path, ".csv", [*rows[:-1], {"q": "new", "a": "b"}]), prompt="q", target="a")
    assert len({e.prompt for e in again.train} & parts[0]) >= 9  # another row moves few prompts
    other = read(
        written(tmp_path, ".csv", rows), prompt="q", target="a", shares=Shares(validation=0.25, test=0.25, seed=1)
    )
    assert {e.prompt for e in other.train} != parts[0]
    none = read(written(tmp_path, ".csv", rows), prompt="q", target="a", shares=Shares(validation=0, test=0, seed=0))
    assert (len(none.train), none.validation, none.test) == (20, [], [])


def test_a_split_without_a_name_is_dealt_from_train(tmp_path: Path) -> None:
    path, names = written(tmp_path, ".csv", ROWS), Names(train="train", validation="dev", test=None)
    splits = read(path, prompt="q", split="s", names=names)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [3, 4, 1]
    assert not {e.prompt for e in splits.test} & {e.prompt for e in splits.train}
    without = read(path, prompt="q", split="s", names=names, shares=Shares(validation=0, test=0, seed=0))
    assert (len(without.train), without.test) == (4, [])


def test_rows_of_splits_that_are_not_read_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, ".csv", [*ROWS, {"q": "x", "a": "y", "s": "weird"}])
    read(path, prompt="q", target="a", split="s")
    assert any(text.endswith("in splits that are not read, by column 's': weird 1") for text in caplog.messages)
    caplog.clear()
    read(written(tmp_path, ".csv", ROWS), prompt="q", target="a", split="s")
    assert "not read" not in caplog.text


def test_a_limit_counts_prompts_and_leaves_the_responses_to_them(tmp_path: Path) -> None:
    rows = [{"q": f"q{i % 20}", "r": f"r{i}", "v": str(i / 7)} for i in range(60)]
    splits = read(written(tmp_path, ".csv", rows), prompt="q", response="r", score="v", n_train=4)
    assert len(splits.train) == 4
    found = splits.responses["train"]
    assert {row.example.id for row in found} == {e.id for e in splits.train}
    assert {(row.example.prompt, row.response, row.score) for row in found} == {
        (row["q"], row["r"], float(row["v"])) for row in rows if row["q"] in {e.prompt for e in splits.train}
    }


def test_pairs_are_scored_responses_and_the_chosen_ones_are_targets_where_no_column_says_so(tmp_path: Path) -> None:
    rows = [{"q": f"q{i}", "w": f"w{i}", "l": f"l{i}", "a": "gold"} for i in range(8)]
    splits = read(written(tmp_path, ".csv", rows), prompt="q", chosen="w", rejected="l")
    first, second = splits.responses["train"][:2]
    assert (first.score, second.score, first.example) == (1.0, 0.0, second.example)
    assert [e.targets for e in splits.train] == [(e.prompt.replace("q", "w"),) for e in splits.train]
    assert set(splits.responses) == {"train", "validation"}
    named = read(written(tmp_path, ".csv", rows), prompt="q", chosen="w", rejected="l", target="a")
    assert {e.targets for e in named.train} == {("gold",)}


def test_the_fingerprint_tells_other_responses(tmp_path: Path) -> None:
    rows = [{"q": f"q{i}", "r": f"r{i}", "v": i, "a": "x"} for i in range(8)]
    before = fingerprint(read(written(tmp_path, ".jsonl", rows), prompt="q", response="r", score="v"))
    rows = [row | {"v": row["v"] + 1} for row in rows]
    after = fingerprint(read(written(tmp_path, ".jsonl", rows), prompt="q", response="r", score="v"))
    assert {key for key in before if before[key] != after[key]} == {"responses of train", "responses of validation"}


def test_empty_targets_are_refused_or_dropped_by_their_key(tmp_path: Path) -> None:
    rows = [{"q": f"q{i}", "a": "" if i in (3, 4) else "a"} for i in range(9)]
    path = written(tmp_path, ".csv", rows)
    with pytest.raises(UserError, match=r"row 4 of .* empty target \('a'\); 2 of 9 rows .*drop_empty=true"):
        read(path, prompt="q", target="a")
    splits = read(path, prompt="q", target="a", drop_empty=True)
    assert len([*splits.train, *splits.validation, *splits.test]) == 7


LACKING = [
    ({"q": None, "a": "a"}, {"target": "a"}, "a null .'q'."),
    ({"q": "x", "a": []}, {"target": "a"}, "an empty target"),
    ({"q": "x", "a": ["b", None]}, {"target": "a"}, "a null .'a'."),
    ({"q": "x"}, {"target": "a"}, "no 'a'"),
    ({"q": "x", "a": ["b", " "]}, {"target": "a"}, "an empty target"),
    ({"q": "x", "r": None, "v": 1.0}, {"response": "r", "score": "v"}, "a null .'r'."),
    ({"q": "x", "r": "y"}, {"response": "r", "score": "v"}, "no 'v'"),
    ({"q": "x", "w": "y", "l": None}, {"chosen": "w", "rejected": "l"}, "a null .'l'."),
    ({"q": " ", "a": "a"}, {"target": "a"}, None),
]


@pytest.mark.parametrize(("row", "columns", "words"), LACKING)
def test_what_a_row_lacks_is_counted_and_dropped_by_the_one_key(
    tmp_path: Path, row: dict[str, Any], columns: dict[str, str], words: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    whole = {"q": "", "a": ["t"], "r": "r", "v": 1, "w": "w", "l": "l"}
    rows = [
        row if i in (2, 5) else {key: value if key != "q" else f"q{i}" for key, value in whole.items()}
        for i in range(9)
    ]
    path = written(tmp_path, ".jsonl", rows)
    if words is None:  # a prompt without a text is no error, and is counted
        with caplog.at_level("INFO", "rftlab"):
            assert "" in {e.prompt.strip() for e in everything(read(path, prompt="q", **columns))}
        assert ", empty: 1" in caplog.text
    else:
        with pytest.raises(UserError, match=rf"row 3 of .* has {words}.*; 2 of 9 rows .*drop_empty=true") as refusal:
            read(path, prompt="q", **columns)
        assert "\n" not in str(refusal.value)
    with caplog.at_level("INFO", "rftlab"):
        left = everything(read(path, prompt="q", **columns, drop_empty=True))
    assert {e.prompt for e in left} == {f"q{i}" for i in range(9) if i not in (2, 5)}
    assert "2 of 9 rows have a null, or a prompt or target without a text, and are dropped" in caplog.text


TWICE = [
    {"q": "one", "a": "1", "s": "train"},
    {"q": "one", "a": "1", "s": "train"},  # repeats the first
    {"q": "one", "a": "2", "s": "train"},  # the same prompt with another target is no duplicate
    {"q": "two", "a": "1", "s": "train"},  # test has it too
    {"q": "two", "a": "1", "s": "test"},
    {"q": "three", "a": "1", "s": "dev"},
]


def test_duplicates_are_counted_and_dropped_by_their_key_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, ".jsonl", TWICE)
    columns = {"prompt": "q", "target": "a", "split": "s"}
    with caplog.at_level("INFO", "rftlab"):
        kept = read(path, **columns)
    assert "rows that repeat one before: 1, that a later split has too: 1; prompts in two splits: 1" in caplog.text
    assert "duplicates dropped: 0" in caplog.text
    assert [(e.prompt, e.targets) for e in kept.train] == [("one", ("1", "2")), ("two", ("1",))]
    caplog.clear()
    with caplog.at_level("INFO", "rftlab"):
        left = read(path, **columns, drop_duplicates=True)
    assert "duplicates dropped: 2" in caplog.text
    assert [(e.prompt, e.targets) for e in left.train] == [("one", ("1", "2"))]
    assert [e.prompt for e in left.test] == ["two"]


def test_repeated_responses_are_learned_once_and_those_with_two_scores_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"q": f"q{i}", "r": "r", "v": 1.0} for i in range(8)]
    rows += [rows[0], rows[0] | {"v": 2.0}]
    path = written(tmp_path, ".jsonl", rows)
    none = {"shares": Shares(validation=0.0, test=0.0, seed=0)}
    with caplog.at_level("INFO", "rftlab"):
        kept, left = (
            read(path, prompt="q", response="r", score="v", **none, drop_duplicates=drop) for drop in (False, True)
        )
    assert caplog.text.count("responses with two scores: 1") == 2
    assert [len(splits.responses["train"]) for splits in (kept, left)] == [10, 9]


def test_a_split_of_duplicates_alone_is_told(tmp_path: Path) -> None:
    rows = [{"q": "one", "a": "1", "s": split} for split in ("train", "dev", "test")]
    path = written(tmp_path, ".jsonl", rows)
    with pytest.raises(
        UserError, match=r"drop_duplicates leaves no row of split 'train'.*change data\.loader\.drop_dup"
    ):
        read(path, prompt="q", target="a", split="s", drop_duplicates=True)


def everything(splits: Splits) -> list[Example]:
    return [*splits.train, *splits.validation, *splits.test]


def test_a_file_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ".csv", [{"q": "x", "a": ""}])
    with pytest.raises(UserError, match=r"drop_empty leaves no row of .*; change data\.loader\.drop_empty"):
        read(path, prompt="q", target="a", drop_empty=True)


@pytest.mark.parametrize(
    ("name", "text", "columns", "words"),
    [
        ("a.csv", "q,a\nx,y\n", {"prompt": "p"}, "has no column 'p' .it has q, a.; .*change data.prompt.column"),
        ("a.csv", "q,a\nx,y\n", {"prompt": "q", "target": "b"}, "no column 'b'.*change data.target.column"),
        ("a.csv", "q,a\nx,y\n", {"prompt": "q", "split": "b"}, "no column 'b'.*change data.loader.split_column"),
        ("a.csv", "q,a\nx,y\nz\n", {"prompt": "q"}, "line 3: 1 fields, where the first line has 2"),
        ("a.csv", "q,q\nx,y\n", {"prompt": "q"}, "a name twice"),
        ("a.csv", 'q,a\n"x,y\n', {"prompt": "q"}, "cannot be read .*change data.path, or repair"),
        ("a.csv", "q,a\n", {"prompt": "q"}, "has no row"),
        ("a.csv", "", {"prompt": "q"}, "has no row"),
        ("a.jsonl", '{"q": "x"}\n{"q": \n', {"prompt": "q"}, "line 2"),
        ("a.jsonl", '{"q": "x"}\n[1]\n', {"prompt": "q"}, "line 2: .1., which is no object"),
        ("a.jsonl", '{"q": "x"}\n{"q": 3}\n', {"prompt": "q"}, "row 2 of .* has q=3; expected a text"),
        ("a.jsonl", '{"q": "x", "r": "y", "v": "?"}\n', {"prompt": "q", "response": "r", "score": "v"}, "finite"),
        ("a.jsonl", '{"q": "x", "r": "y", "v": NaN}\n', {"prompt": "q", "response": "r", "score": "v"}, "v=nan"),
        ("a.parquet", "no parquet", {"prompt": "q"}, "cannot be read"),
        ("a.txt", "x", {"prompt": "q"}, "a file that ends with .csv, .jsonl, .parquet"),
        ("a.csv", "q,s\nx,train\ny,val\nz,test\n", {"prompt": "q", "split": "s"},
         "no row of .* with 'dev' in column 's' .it has test, train, val.; .*change data.loader.names.validation"),
        ("a.csv", "q,a\nx,y\nz,y\n", {"prompt": "q"}, "2 different prompts"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, name: str, text: str, columns: dict[str, str], words: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError, match=words) as refusal:
        read(path, **columns)
    assert "; change " in str(refusal.value) and "\n" not in str(refusal.value)


def test_long_texts_blank_lines_and_the_mark_of_excel_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\ufeffq,a\n" + "\n".join(f"{'x' * 200_000}{i},y\n" for i in range(5)), encoding="utf-8")
    assert len(read(path, prompt="q", target="a").train[0].prompt) == 200_001


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file .*none\.csv"):
        read(tmp_path / "none.csv", prompt="q")
