"""`python src/reward.py`: what it prints of a file of texts, and its mistakes in one line."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rftlab.commands import pairs, reward, scores
from rftlab.data.parts.table_file import FORMATS
from rftlab.errors import UserError

ROWS = [
    {"prompt": "q", "response": "the key", "targets": ["the key", "a mill"]},
    {"prompt": "q", "response": "old key", "targets": ["the key"]},
    {"prompt": "q", "response": "", "targets": "mill"},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, ROWS)) + "\n")
    listed = [
        row | {"targets": row["targets"] if isinstance(row["targets"], list) else [row["targets"]]} for row in ROWS
    ]
    pd.DataFrame(listed).to_parquet("pairs.parquet")
    written = [row | {"targets": t if isinstance(t := row["targets"], str) else json.dumps(t)} for row in ROWS]
    pd.DataFrame(written).to_csv("pairs.csv", index=False)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["reward.py", *words])
    reward.main()


def test_the_three_kinds_of_files_hold_the_same_rows(folder: Path) -> None:
    read = [pairs.read(Path(f"pairs{ending}")) for ending in FORMATS]
    assert read[0] == read[1] == read[2]
    assert read[0].targets == [("the key", "a mill"), ("the key",), ("mill",)]


def test_a_file_is_scored_described_and_written(folder: Path, monkeypatch, capsys) -> None:
    run(monkeypatch, "reward=rouge", "reward.variant=rouge1", "file=pairs.jsonl", "out=scores.csv")
    said = capsys.readouterr().out
    assert "3 responses of pairs.jsonl" in said and "mean 0.5000, std 0.4082" in said and "responses/s" in said
    frame = pd.read_csv("scores.csv")
    assert frame["row"].tolist() == [1, 2, 3] and frame["score"].tolist() == [1.0, 0.5, 0.0]


def test_a_function_of_the_users_own_scores_a_file_in_batches(folder: Path, monkeypatch, capsys) -> None:
    (folder / "mine.py").write_text(
        "def fn(prompts, responses, targets):\n    return [len(prompts)] * len(responses)\n"
    )
    monkeypatch.setattr(reward, "CHUNK", 2)
    monkeypatch.setattr(sys, "path", list(sys.path))
    run(monkeypatch, "reward._target_=mine.py:fn", "file=pairs.csv", "out=scores.csv")
    assert pd.read_csv("scores.csv")["score"].tolist() == [2.0, 2.0, 1.0]


def test_a_histogram_counts_every_score() -> None:
    values = np.array([0.0] * 30 + [0.99] * 10 + [1.0] * 5)
    lines = scores.histogram(values)
    assert [int(line.split()[-1]) for line in lines] == [30, *[0] * 8, 15]
    assert lines[0].count("#") == scores.WIDTH and lines[-1].count("#") == scores.WIDTH // 2
    assert scores.histogram(np.array([0.5, 0.5])) == ["all 2 are 0.5"]


MISTAKES = {
    "no file": ["reward=rouge"],
    "no reward": ["file=pairs.csv"],
    "a file that is not there": ["reward=rouge", "file=none.csv"],
    "another kind of file": ["reward=rouge", "file=pairs.txt"],
    "a flag": ["reward=rouge", "file=pairs.csv", "-m"],
    "an algorithm": ["reward=rouge", "file=pairs.csv", "algo=ppo"],
    "no value": ["reward=rouge", "file="],
    "an unknown reward": ["reward=rogue", "file=pairs.csv"],
    "a value of another type": ["reward=rouge", "reward.stem=maybe", "file=pairs.csv"],
    "a value out of range": ["reward=rouge", "reward.variant=rouge9", "file=pairs.csv"],
    "no such key": ["reward=rouge", "reward.stems=true", "file=pairs.csv"],
    "no responses": ["reward=rouge", "file=other.csv"],
    "no targets": ["reward=rouge", "file=alone.jsonl"],
    "a number for a text": ["reward=rouge", "file=number.jsonl"],
    "a null target": ["reward=rouge", "file=null.jsonl"],
    "no JSON": ["reward=rouge", "file=broken.jsonl"],
    "nowhere to write": ["reward=rouge", "file=pairs.csv", "out=none/scores.csv"],
    "a model that only the hub has": ["reward=bertscore", "file=pairs.csv"],
    "a dataset without a reward": ["data=corpus_spans", "file=pairs.csv"],
}
FILES = {
    "other.csv": "text\nx\n",
    "alone.jsonl": '{"response": "a"}',
    "number.jsonl": '{"response": 3}',
    "null.jsonl": '{"response": "a", "targets": ["a", null]}',
    "broken.jsonl": '{"response": ',
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(case: str, folder: Path, monkeypatch, capsys) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, *MISTAKES[case])
    said = capsys.readouterr()
    assert stop.value.code == 2 and not said.out
    (line,) = said.err.splitlines()
    assert line.startswith("error: ") and "; expected " in line and "; change " in line, line


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", 'response,targets\n"a b","a b",x\n', "line 2: 3 fields, where the first line has 2"),
        ("b.csv", "response,targets\na,a\nb\n", "line 3: 1 fields, where the first line has 2"),
        ("c.jsonl", '{"response": "a"}\n{"response": \n', "line 2: Expecting value"),
        ("d.jsonl", '{"response": null}\n', "row 1: response is null"),
        ("e.jsonl", '{"response": "a"}\n\n{"targets": "a"}\n', "row 2: response is null"),
        ("f.csv", 'response,targets\na,"[""a"", 1]"\n', r"row 1: targets are \['a', 1\]"),
        ("g.csv", "", "no row"),
    ],
)
def test_a_file_with_a_mistake_is_refused_at_its_place(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        pairs.read(tmp_path / name)


def test_a_null_of_a_parquet_file_is_called_so(tmp_path: Path) -> None:
    pd.DataFrame({"response": ["a", None]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match="row 2: response is null"):
        pairs.read(tmp_path / "a.parquet")


def test_lines_end_at_newlines_alone_and_marks_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    texts = ["a\u2028b", "a\x85b", "a\rb", ""]
    lines = [json.dumps({"response": text, "targets": [text, "x"]}, ensure_ascii=False) for text in texts]
    (tmp_path / "a.jsonl").write_text("\ufeff" + "\n\n".join(lines) + "\n \n", encoding="utf-8", newline="")
    written = "".join(f'"{text}","{text}"\n' for text in texts)
    (tmp_path / "a.csv").write_text(f"\ufeffresponse,targets\n{written}\n", encoding="utf-8", newline="")
    for name in ("a.jsonl", "a.csv"):
        read = pairs.read(tmp_path / name)
        assert read.responses == texts and [golds[0] for golds in read.targets] == texts


def test_a_cell_of_a_csv_is_a_list_where_it_is_one_of_texts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('response,targets\na,"[""a"", ""b""]"\na,[1]\na,[a]\na,[]\n')
    assert pairs.read(tmp_path / "a.csv").targets == [("a", "b"), ("[1]",), ("[a]",), ()]


def test_a_missing_gold_text_is_named_by_row_and_column(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(reward, "CHUNK", 2)
    rows = [{"response": "a", "targets": ["a"]}] * 4 + [{"response": "a", "targets": []}]
    (folder / "row.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "name.csv").write_text("response,Target\na,a\n")
    (folder / "none.csv").write_text("response,label\na,a\n")
    for file, said in {
        "row.jsonl": "row.jsonl, row 5: no gold text in `targets`",
        "name.csv": "change the name of the column `Target` to `targets`, or reward",
        "none.csv": "none.csv with the columns response, label, and none that is called `targets`",
    }.items():
        with pytest.raises(SystemExit):
            run(monkeypatch, "reward=rouge", f"file={file}")
        assert said in capsys.readouterr().err


def test_what_a_reader_of_the_scores_would_not_expect_is_told(folder: Path, monkeypatch, capsys) -> None:
    (folder / "blank.jsonl").write_text(
        '{"response": "a", "targets": ["a"], "Prompts": "q"}\n{"response": "a", "targets": ["", " "], "Prompts": "q"}'
    )
    run(monkeypatch, "reward=rouge", "file=blank.jsonl")
    said = capsys.readouterr().out
    assert "no column `prompt`, but `Prompts`: prompts are empty" in said
    assert "1 of 2 rows have gold texts without a word (first: row 2)" in said
    run(monkeypatch, "reward=rouge", "file=pairs.jsonl")
    assert "gold texts" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["function", "intent", "published"])
def test_a_reward_without_its_key_says_what_the_key_is(name: str, folder: Path, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, f"reward={name}", "file=pairs.csv")
    key = {"function": "function", "intent": "label", "published": "source"}[name]
    said = capsys.readouterr().err
    assert said.startswith(f"error: reward={name} without reward.{key}; expected reward.{key}=VALUE (")
    assert said.rstrip().endswith(f"; change reward.{key}") and "scale" not in said


def test_a_key_that_the_reward_lacks_is_answered_with_its_own_keys(folder: Path, monkeypatch, capsys) -> None:
    for key in ("nokey", "stams"):
        with pytest.raises(SystemExit):
            run(monkeypatch, "reward=rouge", f"reward.{key}=1", "file=pairs.csv")
        expected = capsys.readouterr().err.split("; ")[1]
        named = {word.strip(",") for word in expected.split() if word.startswith("reward")}
        assert named and named <= {f"reward.{own}" for own in ("variant", "stem", "letters", "lines")}


def test_what_a_function_raises_is_one_line_and_its_traceback_behind_a_variable(folder, monkeypatch, capsys) -> None:
    (folder / "raises.py").write_text("def fn(prompts, responses, targets):\n    return 1 / 0\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    for wanted, kept_aside in (("0", None), ("1", None), ("0", "0"), ("1", "1")):
        monkeypatch.setenv("HYDRA_FULL_ERROR", wanted if kept_aside is None else "1")  # as `train` leaves it
        if kept_aside is None:
            monkeypatch.delenv("RFTLAB_TRACEBACK", raising=False)
        else:
            monkeypatch.setenv("RFTLAB_TRACEBACK", kept_aside)
        with pytest.raises(SystemExit):
            run(monkeypatch, "reward._target_=raises.py:fn", "file=pairs.csv")
        lines = capsys.readouterr().err.splitlines()
        assert "raises.py:fn raised ZeroDivisionError: division by zero at raises.py, line 2; expected " in lines[-1]
        assert ("Traceback" in "".join(lines)) is (wanted == "1") and (len(lines) == 1) is (wanted == "0")


def test_help(monkeypatch, capsys) -> None:
    run(monkeypatch, "--help")
    assert "file=FILE" in capsys.readouterr().out
