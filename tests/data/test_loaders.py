"""Loaders: exact prompt formats, the split rules, and the errors a user can cause."""

import socket
from pathlib import Path

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.utils import httpx

from rftlab.data import imdb, narrativeqa
from rftlab.data.parts import hub
from rftlab.errors import UserError

LIMITS = {"n_train": None, "n_validation": None, "n_test": None, "seed": 0}


def qa_row(question: str, summary: str, *answers: str) -> dict:
    return {
        "document": {"summary": {"text": summary}},
        "question": {"text": question, "tokens": []},
        "answers": [{"text": answer, "tokens": []} for answer in answers],
    }


def write(folder: Path, **splits: list[dict]) -> None:
    """Lay out rows as a mirror does: a YAML header that names the data files, and one parquet file per split."""
    folder.mkdir(parents=True)
    lines = ["---", "configs:", "- config_name: plain_text", "  data_files:"]
    for split, rows in splits.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
        lines += [f"  - split: {split}", f"    path: {split}.parquet"]
    (folder / "README.md").write_text("\n".join([*lines, "---"]))


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write tiny datasets in the hub's schema, read through a cache of their own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    reviews = [{"text": f"w{i} a b c d", "label": i % 2} for i in range(50)]
    write(tmp_path / "org" / "imdb", train=reviews, test=reviews[:10])
    rows = [qa_row("Who?", "A man.", "Bob")]
    write(tmp_path / "org" / "qa", train=rows, validation=rows, test=rows)
    write(tmp_path / "org" / "unanswered", train=[qa_row("Who?", "A man.", " ")], validation=rows, test=rows)
    write(tmp_path / "org" / "half", train=[{"text": "a b"}], test=[{"text": "a b"}])
    write(tmp_path / "org" / "empty", train=reviews[:0] or [{"text": "x", "label": 1}], test=reviews[:10])
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())}),
        tmp_path / "org/empty/train.parquet",
    )
    return tmp_path


def load_imdb(mirror: Path | None, hub_id: str = "org/imdb", config: str | None = "plain_text", **changes):
    return imdb.load(source="hub", hub_id=hub_id, hub_config=config, hub_mirror=mirror, **(LIMITS | changes))


def load_qa(mirror: Path | None, hub_id: str = "org/qa"):
    return narrativeqa.load(source="hub", hub_id=hub_id, hub_config=None, hub_mirror=mirror, **LIMITS)


def test_narrativeqa_prompt_is_question_literal_mark_summary_in_lower_case():
    row = qa_row("Who Hid it?", "Mara hid\n the Key.\n\nThe END", " The Potter ", "Mara")
    assert narrativeqa.to_texts(row) == ("who hid it? \\n mara hid the key.the end ", ("the potter", "mara"))


def test_rows_with_one_prompt_become_one_example_with_all_answers_once():
    rows = [
        qa_row("Who?", "A man.", "Bob", "bob"),
        qa_row("Where?", "A man.", "Here"),
        qa_row("WHO?", "A man.", "Robert", "Bob"),
    ]
    examples = narrativeqa.group_prompts(rows, "train")
    assert [(example.prompt, example.targets) for example in examples] == [
        ("who? \\n a man. ", ("bob", "robert")),
        ("where? \\n a man. ", ("here",)),
    ]
    assert len({example.id for example in examples}) == 2


def test_imdb_prompt_is_the_first_half_of_the_words_and_the_target_the_rest():
    example = imdb.to_example({"text": "One two  three four five", "label": 1}, "train-0")
    assert (example.prompt, example.targets) == (
        "One two ",
        ("three four five",),
    )  # six pieces
    assert example.meta == {"label": 1}


def test_imdb_splits_follow_the_rule_of_the_original(mirror: Path):
    """Compare with the rule spelled out through the datasets library."""
    splits = load_imdb(mirror)
    rows = datasets.Dataset.from_list([{"text": f"w{i} a b c d", "label": i % 2} for i in range(50)]).shuffle(seed=42)
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
    assert [row["text"] for row in imdb.shuffled(rows)[:5]] == order["text"][:5]
    assert imdb.TEST_SIZE == 5000


@pytest.mark.parametrize("module", [narrativeqa, imdb])
def test_limits_keep_a_subset_that_the_seed_chooses(module):
    def prompts(**changes):
        arguments = LIMITS | {"n_train": 20, "n_validation": 5, "n_test": 5} | changes
        splits = module.load(source="bundled", hub_id="", hub_config=None, hub_mirror=None, **arguments)
        assert splits.source == "bundled"
        return [[example.prompt for example in part] for part in (splits.train, splits.validation, splits.test)]

    chosen, everything = prompts(), prompts(n_train=None)
    assert [len(part) for part in chosen] == [20, 5, 5]
    assert prompts() == chosen
    positions = [everything[0].index(prompt) for prompt in chosen[0]]
    assert positions == sorted(positions) and positions != list(range(20))


def test_hub_rows_and_bundled_rows_take_the_same_path(mirror: Path):
    splits = load_qa(mirror)
    assert splits.source == "hub"
    assert splits.train[0].prompt == "who? \\n a man. "
    assert splits.train[0].targets == ("bob",)


def test_a_mirror_is_read_without_any_name_look_up(mirror: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    assert len(load_imdb(mirror).train) > 0
    assert datasets.config.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    ("arguments", "found", "change"),
    [
        ({"mirror": Path("/nonexistent")}, "no folder /nonexistent", "paths.hub_mirror"),
        ({"hub_id": "org/nothing"}, "no dataset org/nothing", "data.loader.hub_id"),
        ({"config": "nope"}, "no config 'nope'", "data.loader.hub_config"),
        ({"hub_id": "org/half"}, "no column label", "data.loader.hub_id"),
        ({"hub_id": "org/empty"}, "is empty", "data.loader.hub_id"),
    ],
    ids=["mirror", "dataset", "config", "column", "empty"],
)
def test_what_is_missing_is_named_with_the_key_to_change(mirror: Path, arguments: dict, found: str, change: str):
    with pytest.raises(UserError) as error:
        load_imdb(**({"mirror": mirror} | arguments))
    assert found in error.value.found
    assert change in error.value.change
    assert error.value.expected


def test_a_missing_split_is_named(mirror: Path):
    with pytest.raises(UserError, match="no split 'validation'"):
        hub.read_split("org/imdb", "plain_text", "validation", mirror, ["text"])


def test_an_unreadable_file_is_a_user_error(mirror: Path):
    (mirror / "org" / "imdb" / "train.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError, match="cannot be read"):
        load_imdb(mirror)


def test_a_question_without_answers_is_refused(mirror: Path):
    with pytest.raises(UserError, match="no answer text"):
        load_qa(mirror, "org/unanswered")


def test_an_unknown_source_is_refused():
    with pytest.raises(UserError, match="bundled or hub"):
        imdb.load(source="web", hub_id="", hub_config=None, hub_mirror=None, **LIMITS)


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

    monkeypatch.setattr(datasets, "load_dataset", breaks)
    with pytest.raises(UserError, match="cannot be read"):
        load_imdb(mirror)
