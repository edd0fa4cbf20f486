"""Loaders: exact prompt formats, the split rules, and the errors a user can cause."""

import socket
from pathlib import Path

import datasets
import huggingface_hub
import pytest
from huggingface_hub.utils import httpx
from members import write

from rftlab.data import imdb, narrativeqa
from rftlab.data.parts.counting import Drop
from rftlab.data.parts.rows import Rows
from rftlab.errors import UserError
from rftlab.types import Splits

REVIEWS = [{"text": f"w{i} a b c d", "label": i % 2} for i in range(50)]
LIMITS = {"hub_revision": None, "n_train": None, "n_validation": None, "n_test": None, "seed": 0}
LIMITS |= {"drop": Drop(duplicates=False, empty=False)}


def qa_row(question: str, summary: str, *answers: str) -> dict:
    return {
        "document": {"summary": {"text": summary}},
        "question": {"text": question, "tokens": []},
        "answers": [{"text": answer, "tokens": []} for answer in answers],
    }


def write_qa(mirror: Path, name: str, *rows: dict) -> None:
    """Write the same rows as all three splits."""
    write(mirror / "org" / name, dict.fromkeys(("train", "validation", "test"), rows))


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write tiny datasets in the hub's schema, read through a cache of their own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    write(tmp_path / "org" / "imdb", {"train": REVIEWS, "test": REVIEWS[:10]})
    write_qa(tmp_path, "qa", qa_row("Who?", "A man.", "Bob"))
    return tmp_path


def load_imdb(mirror: Path | None, hub_id: str = "org/imdb") -> Splits:
    return imdb.load(source="hub", hub_id=hub_id, hub_config="default", hub_mirror=mirror, **LIMITS)


def load_qa(mirror: Path, hub_id: str) -> Splits:
    return narrativeqa.load(source="hub", hub_id=hub_id, hub_config=None, hub_mirror=mirror, **LIMITS)


def test_narrativeqa_prompt_is_question_literal_mark_summary_in_lower_case():
    row = qa_row("Who Hid it?", "Mara hid\n the Key.\n\nThe END", " The Potter ", "Mara")
    rows = Rows(data=[row], columns=narrativeqa.DATASET.columns, place="")
    ((text,),) = rows.make([0], narrativeqa.examples)
    assert (text.prompt, text.targets) == ("who hid it? \\n mara hid the key.the end ", ("the potter", "mara"))


def test_rows_with_one_prompt_become_one_example_with_all_answers_once(mirror: Path):
    rows = [
        qa_row("Who?", "A man.", "Bob", "bob"),
        qa_row("Where?", "A man.", "Here"),
        qa_row("WHO?", "A man.", "Robert", "Bob"),
    ]
    write_qa(mirror, "asked", *rows)
    assert [(example.id, example.prompt, example.targets) for example in load_qa(mirror, "org/asked").train] == [
        ("train-0", "who? \\n a man. ", ("bob", "robert")),
        ("train-1", "where? \\n a man. ", ("here",)),
    ]


def test_imdb_prompt_is_the_first_half_of_the_words_and_the_target_the_rest():
    (text,) = imdb.examples({"text": "One two  three four five", "label": 1})
    assert (text.prompt, text.targets) == ("One two ", ("three four five",))  # six pieces
    assert text.meta == {"label": 1}


def test_imdb_splits_follow_the_rule_of_the_original(mirror: Path):
    """Compare with the rule spelled out through the datasets library."""
    splits = load_imdb(mirror)
    rows = datasets.Dataset.from_list(REVIEWS).shuffle(seed=42)
    first = [example.prompt.split(" ")[0] for example in splits.train]
    assert first == [row["text"].split(" ")[0] for row in rows.select(range(40)) if row["label"] == 1]
    assert [e.prompt.split(" ")[0] for e in splits.validation] == [
        row["text"].split(" ")[0] for row in rows.select(range(40, 50))
    ]
    assert {example.meta["label"] for example in splits.train} == {1}
    assert {example.meta["label"] for example in splits.validation} == {0, 1}
    assert len(splits.test) == 10


def test_imdb_test_split_is_cut_after_its_first_5000_shuffled_reviews():
    rows = [{"text": f"w{i} b", "label": 0} for i in range(5003)]
    order = datasets.Dataset.from_list(rows).shuffle(seed=42)
    numbers = imdb.part("test", Rows(data=rows, columns=imdb.DATASET.columns, place=""))
    assert [rows[number]["text"] for number in numbers] == order["text"][:5000]


def test_a_mirror_is_read_without_any_name_look_up(mirror: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    assert len(load_imdb(mirror).train) > 0
    assert datasets.config.HF_HUB_OFFLINE is False


def test_an_unreadable_file_is_a_user_error(mirror: Path):
    (mirror / "org" / "imdb" / "train.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError, match="cannot be read"):
        load_imdb(mirror)


def test_a_question_without_answers_is_refused(mirror: Path):
    rows = [qa_row("Where?", "A man.", "Here"), qa_row("Who?", "A man.", " ")]
    write_qa(mirror, "unanswered", *rows)
    with pytest.raises(UserError, match=r"row 1 of split 'train' of org/unanswered has no target text .*'who\?"):
        load_qa(mirror, "org/unanswered")


@pytest.mark.parametrize("offline", [False, True])
def test_an_unreachable_hub_points_to_the_mirror_and_to_bundled_data(monkeypatch: pytest.MonkeyPatch, offline: bool):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")  # where nothing listens
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    with pytest.raises(UserError) as error:
        load_imdb(None, "stanfordnlp/imdb")
    assert "cannot be reached" in error.value.found
    assert ("offline mode" in error.value.found) == offline
    assert "paths.hub_mirror" in error.value.change and "data.source=bundled" in error.value.change


@pytest.mark.parametrize("failure", [OSError("Name or service not known"), httpx.ReadTimeout("timed out")])
def test_a_connection_that_breaks_while_rows_are_read_is_a_user_error(
    mirror: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
):
    def breaks(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(datasets, "load_dataset_builder", breaks)
    with pytest.raises(UserError, match="cannot be read"):
        load_imdb(mirror)
