"""The rows of a mirror are those of its files, now: not of another mirror, nor of an older state."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import pytest
from huggingface_hub.errors import RevisionNotFoundError
from members import ON_HUB, Member, parts, write

from rftlab.data import hub_text, imdb
from rftlab.data.parts import hub
from rftlab.data.parts import pairs as preference
from rftlab.data.parts.columns import Names, Shares
from rftlab.data.parts.counting import Drop
from rftlab.data.parts.fingerprint import fingerprint
from rftlab.errors import UserError

OTHER_SEED = 5
NOTHING = Drop(duplicates=False, empty=False)


@pytest.fixture(params=ON_HUB, ids=lambda member: member.name)
def on_hub(request: pytest.FixtureRequest) -> Member:
    return request.param


@pytest.fixture(autouse=True)
def shared_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all mirrors of a test share one cache, as on a machine."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def lay_out(mirror: Path, member: Member, seed: int) -> None:
    """Write a mirror of generated rows; only the rows differ from seed to seed."""
    write(
        mirror / "org" / "set", {s: [dict(r) for r in member.record.bundled(seed, s)[:40]] for s in member.hub_splits()}
    )


@pytest.mark.parametrize("seeds", [(0, OTHER_SEED), (OTHER_SEED, 0)])
def test_two_mirrors_of_one_name_give_their_own_rows(on_hub: Member, tmp_path: Path, seeds: tuple[int, int]):
    for seed in seeds:
        lay_out(tmp_path / str(seed), on_hub, seed)
    first, second = (on_hub.load(tmp_path / str(seed)) for seed in seeds)
    assert all(one != other for one, other in zip(parts(first).values(), parts(second).values(), strict=True))
    assert parts(on_hub.load(tmp_path / str(seeds[0]))) == parts(first)
    assert fingerprint(on_hub.load(tmp_path / str(seeds[0]))) == fingerprint(first) != fingerprint(second)


@pytest.mark.parametrize("seeds", [(0, OTHER_SEED), (OTHER_SEED, 0)])
def test_a_mirror_whose_files_change_gives_the_new_rows(on_hub: Member, tmp_path: Path, seeds: tuple[int, int]):
    before, after = ([], [])
    for seed, seen in zip(seeds, (before, after), strict=True):
        lay_out(tmp_path / "mirror", on_hub, seed)
        seen += parts(on_hub.load(tmp_path / "mirror")).values()
    assert all(one != other for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_files_of_other_formats_are_read_as_they_are(tmp_path: Path, kind: str):
    folder = tmp_path / "org" / "set"
    folder.mkdir(parents=True)
    for word in ("old", "new"):
        rows = [{"text": f"{word} {n} a b", "label": n % 2} for n in range(20)]
        for split in ("train", "test"):
            lines = [json.dumps(row) if kind == "jsonl" else f"{row['text']},{row['label']}" for row in rows]
            head = [] if kind == "jsonl" else ["text,label"]
            (folder / f"{split}.{kind}").write_text("\n".join([*head, *lines]))
        splits = imdb.load(
            source="hub", hub_id="org/set", hub_config=None, hub_revision=None, hub_mirror=tmp_path,
            n_train=None, n_validation=None, n_test=None, seed=0, drop=NOTHING,
        )  # fmt: skip
        assert all(example.prompt.startswith(word) for example in [*splits.train, *splits.test])


def test_from_the_hub_one_revision_is_read_and_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    rows = datasets.Dataset.from_list([{"text": f"w{n} a", "label": n % 2} for n in range(20)])
    asked: list[Any] = []
    info = SimpleNamespace(sha="abc123")
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: info)
    monkeypatch.setattr(datasets, "get_dataset_config_names", lambda *_, **given: asked.append(given) or ["plain"])
    monkeypatch.setattr(
        datasets, "get_dataset_split_names", lambda *_, **given: asked.append(given) or ["train", "test"]
    )
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **given: asked.append(given) or rows)
    with caplog.at_level(logging.INFO, "rftlab"):
        imdb.load(
            source="hub", hub_id="org/set", hub_config="plain", hub_revision=None, hub_mirror=None,
            n_train=None, n_validation=None, n_test=None, seed=0, drop=NOTHING,
        )  # fmt: skip
    assert {given["revision"] for given in asked} == {"abc123"}
    assert "org/set is read from the hub at revision abc123" in caplog.text


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Pretend that a folder is the hub's parquet export of `org/set`; what the hub was asked is returned."""
    asked: dict[str, Any] = {}
    names = ["README.md", "a-b/train/0000.parquet", "a-b/train/0001.parquet", "a-b/test/0000.parquet"]
    for number, name in enumerate(names[1:]):
        (file := tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list([{"text": f"w{number} a", "label": n % 2} for n in range(10)]).to_parquet(file)
    info = SimpleNamespace(sha="abc123", siblings=[SimpleNamespace(rfilename=name) for name in names])
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **given: asked.update(given) or info)
    monkeypatch.setattr(hub, "HUB_FILE", f"{tmp_path}/{{file}}")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return asked


LIMITS = {"n_train": None, "n_validation": None, "n_test": None, "seed": 0, "drop": NOTHING}
EXPORTED = {"source": "hub", "hub_id": "org/set", "hub_mirror": None, "hub_revision": hub.EXPORT, **LIMITS}


def test_of_a_dataset_script_the_export_of_the_hub_is_read_by_config_and_split(export: dict[str, Any]):
    splits = imdb.load(**EXPORTED, hub_config="a-b")
    assert export["revision"] == "refs/convert/parquet"
    assert {example.prompt for example in [*splits.train, *splits.validation]} == {"w0", "w1"}  # both files of train
    assert {example.prompt for example in splits.test} == {"w2"}


def test_rows_named_by_their_columns_are_read_from_the_export_too(export: dict[str, Any]):
    columns = {f"{name}_column": None for name in ("response", "score", "chosen", "rejected")}
    given = {key: value for key, value in EXPORTED.items() if key != "drop"} | columns
    splits = hub_text.load(
        **given,
        hub_config="a-b",
        hub_dir=None,
        prompt_column="text",
        target_column="text",
        names=Names(train="train", validation=None, test="test"),
        shares=Shares(validation=0.5, test=0.0, seed=0),
        drop_empty=False,
        drop_duplicates=False,
        drop_pairs=preference.Drop(identical=False, contradicting=False, empty=False),
    )
    assert export["revision"] == "refs/convert/parquet"
    assert {example.prompt for example in splits.test} == {"w2 a"}


def test_a_dataset_script_is_refused_with_the_revision_that_can_be_read(monkeypatch: pytest.MonkeyPatch):
    def script(*_: object, **__: object) -> None:
        raise RuntimeError("Dataset scripts are no longer supported, but found set.py")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: SimpleNamespace(sha="abc123"))
    monkeypatch.setattr(datasets, "get_dataset_config_names", script)
    with pytest.raises(
        UserError, match=r"org/set is a dataset script, .*; change data\.loader\.hub_revision=refs/conv"
    ):
        hub.read_split("org/set", None, "train", None, ["text"])


def test_every_loader_passes_the_revision_on(on_hub: Member, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    lay_out(tmp_path, on_hub, 0)
    on_hub.load(tmp_path, hub_revision="abc")
    assert "revision abc of org/set is not looked for in a mirror" in caplog.text


@pytest.mark.parametrize(("revision", "told"), [("abc", True), (hub.EXPORT, False), (None, False)])
def test_a_revision_that_a_mirror_cannot_have_is_told(
    revision: str | None, told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    write(tmp_path / "org" / "set", {"train": [{"text": "a"}]})
    assert len(hub.read_split("org/set", None, "train", tmp_path, ["text"], revision)) == 1
    assert ("revision abc of org/set is not looked for in a mirror" in caplog.text) is told


def test_files_of_an_export_are_addressed_by_the_commit():
    found = hub._exported("org/set", "abc123", ["a-b/train/0000.parquet", "a-b/train/stats.json", "x.parquet"])
    assert found == {"a-b": {"train": ["hf://datasets/org/set@abc123/a-b/train/0000.parquet"]}}


@pytest.mark.parametrize("config", ["plain", None])
def test_a_config_that_an_export_lacks_is_named(export: dict[str, Any], config: str | None):
    found = f"no config '{config or 'default'}'; expected one of a-b; change data.loader.hub_config"
    with pytest.raises(UserError, match=found):
        imdb.load(**EXPORTED, hub_config=config)


def test_a_split_that_an_export_lacks_is_named(export: dict[str, Any]):
    with pytest.raises(UserError, match=r"org/set has no split 'validation' \(it has test, train\)"):
        hub.read_split("org/set", "a-b", "validation", None, ["text"], hub.EXPORT)


def test_a_revision_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    def missing(*_: object, **__: object) -> None:
        raise RevisionNotFoundError("404", response=SimpleNamespace(headers={}, request=None))

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", missing)
    found = "org/set has no revision refs/convert/parquet on the hub; .*; change data.loader.hub_revision"
    with pytest.raises(UserError, match=found):
        imdb.load(**EXPORTED, hub_config=None)
