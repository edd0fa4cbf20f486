"""Responses of a finished run, as a run that learns from them gets them; what is refused instead."""

from pathlib import Path
from typing import Any

import pytest

from rftlab.build.responses import scored_responses
from rftlab.errors import UserError
from rftlab.runs import Run, note_rows, run_key, write_responses

DATA = {"name": "imdb", "source": "bundled", "loader": {"n_train": 3}}
MODEL = {"name": "small", "policy": {"source": "asset:small", "tokenizer": None}}
ROWS = {
    "split": ["train", "train", "validation"],
    "prompt_id": ["a", "a", "b"],
    "prompt": ["A", "A", "B"],
    "targets": [["x", "y"], ["x", "y"], []],
    "response": ["one", "two", "three"],
    "response_ids": [[1, 0], [2], [3, 4, 0]],
    "score": [0.5, -1.0, 0.25],
}


def finished(outputs: Path, rows: dict[str, Any] | None = ROWS, done: bool = True, **config: Any) -> str:
    """Make a run of algo=responses; its key."""
    said = {"algo": {"name": "responses"}, "data": DATA, "model": MODEL, "seed": 0, **config}
    key = run_key(said)
    run = Run.claim(outputs / "sweep" / f"made-{key}", said)
    note_rows(run.folder, {"data": {}}, {"train": "1"})
    if rows is not None:
        write_responses(run.folder, rows)
    run.finish({}) if done else run.stop()
    return key


def read(outputs: Path, key: str | None, seen: str = "1", **config: Any) -> Any:
    said = {"algo": {"name": "awr", "responses": {"run": key}}, "data": DATA, "model": MODEL, **config}
    folder = outputs / "sweep" / "reading"
    folder.mkdir(parents=True)
    note_rows(folder, {"data": {}}, {"train": seen})
    return scored_responses({**said, "paths": {"outputs": str(outputs)}}, folder)


def test_what_was_written_is_read_split_by_split(tmp_path: Path) -> None:
    found = read(tmp_path, finished(tmp_path))
    assert {split: [row.response for row in rows] for split, rows in found.items()} == {
        "train": ["one", "two"],
        "validation": ["three"],
    }
    first, last = found["train"][0], found["validation"][0]
    assert (first.example.id, first.example.prompt, first.example.targets) == ("a", "A", ("x", "y"))
    assert (first.response_ids, first.score, last.response_ids, last.example.targets) == ((1, 0), 0.5, (3, 4, 0), ())


def test_an_algorithm_that_samples_gets_none(tmp_path: Path) -> None:
    assert scored_responses({"algo": {"name": "ppo"}}, tmp_path) is None


@pytest.mark.parametrize(
    ("made", "given", "words"),
    [
        ({"done": False}, {}, "which is no finished run in"),
        ({"rows": None}, {}, "a run of algo=responses without responses.parquet"),
        ({}, {"data": DATA | {"name": "narrativeqa"}}, "data.name=narrativeqa, with responses to imdb"),
        ({}, {"data": DATA | {"loader": {"n_train": 4}}}, "data.loader="),
        ({}, {"data": DATA | {"source": "hub"}}, "data.source=hub"),
        ({}, {"seen": "2"}, "was made with other rows"),
        ({}, {"model": MODEL | {"policy": {"source": "other", "tokenizer": None}}}, "the tokenizer other"),
    ],
)
def test_responses_that_do_not_fit_are_refused_in_one_line(
    tmp_path: Path, made: dict[str, Any], given: dict[str, Any], words: str
) -> None:
    key = finished(tmp_path, **made)
    with pytest.raises(UserError, match=words) as refusal:
        read(tmp_path, key, **given)
    assert "algo.responses.run" in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    key = finished(tmp_path)
    (file,) = tmp_path.rglob("responses.parquet")
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(UserError, match=r"responses\.parquet cannot be read .*remove its folder"):
        read(tmp_path, key)


@pytest.mark.parametrize("key", [None, "0123456789ab"])
def test_a_run_that_is_not_there_is_refused(tmp_path: Path, key: str | None) -> None:
    with pytest.raises(UserError, match=r"algo\.responses\.run"):
        read(tmp_path, key)


def test_a_model_of_the_same_tokenizer_may_read_them(tmp_path: Path) -> None:
    key = finished(tmp_path)
    assert read(tmp_path, key, model={"name": "large", "policy": {"source": "other", "tokenizer": "asset:small"}})
