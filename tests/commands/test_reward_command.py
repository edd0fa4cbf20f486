"""`python src/reward.py`: what it prints of a file of texts, and its mistakes in one line."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rftlab.commands import pairs, reward, scores

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
    read = [pairs.read(Path(f"pairs{ending}")) for ending in pairs.READERS]
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


def test_help(monkeypatch, capsys) -> None:
    run(monkeypatch, "--help")
    assert "file=FILE" in capsys.readouterr().out
