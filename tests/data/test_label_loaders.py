"""What all classification loaders share: sources, missing data, and the schema of the hub."""

import os
from pathlib import Path

import datasets
import pytest
import torch
from label_mirror import FEATURES, LOADERS, SPLITS, load, picture, write, write_rows

from rftlab.data import cifar10, mnist, stsb
from rftlab.data.worlds import digits, pairs, pictures
from rftlab.errors import UserError

DATASETS = {  # world, hub id and config of each loader
    mnist: (digits, "ylecun/mnist", "mnist"),
    cifar10: (pictures, "uoft-cs/cifar10", "plain_text"),
    stsb: (pairs, "nyu-mll/glue", "stsb"),
}


def some_rows(module) -> list[dict]:
    if module is stsb:
        return [{"sentence1": "A", "sentence2": "B", "label": number / 2, "idx": number} for number in range(10)]
    return [{module.FORMAT.column: picture(module), "label": label} for label in range(10)]


def hub_mirror() -> Path:
    mirror = os.environ.get("RFTLAB_HUB_MIRROR")
    if mirror is None:
        pytest.skip("set RFTLAB_HUB_MIRROR to a folder with the hub's parquet files to compare schemas")
    return Path(mirror)


@pytest.fixture(params=LOADERS, ids=lambda module: module.__name__.rsplit(".")[-1])
def module(request: pytest.FixtureRequest):
    return request.param


@pytest.fixture
def mirror(module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write `org/set`, and `org/half` without labels, read through a cache of their own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = some_rows(module)
    write_rows(tmp_path, module, rows)
    features = datasets.Features({key: kind for key, kind in FEATURES[module].items() if key != "label"})
    unlabelled = [{key: row[key] for key in features} for row in rows]
    write(tmp_path / "org" / "half", features, **dict.fromkeys(SPLITS[module], unlabelled))
    write(tmp_path / "org" / "empty", FEATURES[module], **{SPLITS[module][0]: rows, SPLITS[module][1]: []})
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "found", "change"),
    [
        ({"hub_mirror": Path("/nonexistent")}, "no folder /nonexistent", "paths.hub_mirror"),
        ({"hub_id": "org/nothing"}, "no dataset org/nothing", "data.loader.hub_id"),
        ({"hub_config": "nope"}, "no config 'nope'", "data.loader.hub_config"),
        ({"hub_id": "org/half"}, "no column label", "data.loader.hub_id"),
        ({"hub_id": "org/empty"}, "is empty", "data.loader.hub_id"),
        ({"source": "web"}, "data.source=web", "data.source"),
    ],
    ids=["mirror", "dataset", "config", "column", "empty", "source"],
)
def test_what_is_missing_is_named_with_the_key_to_change(module, mirror: Path, changes: dict, found: str, change: str):
    with pytest.raises(UserError) as error:
        load(module, mirror, **changes)
    assert found in error.value.found
    assert change in error.value.change


def test_every_split_is_an_input_and_a_label_per_row(module, mirror: Path):
    for splits in (load(module, mirror), load(module, n_train=20, n_test=20)):
        for split in (splits.train, splits.test):
            assert len(split.inputs) == len(split.labels)
            assert split.labels.dtype == torch.int64


def test_bundled_rows_have_the_schema_of_the_hub_dataset(module):
    world, hub_id, config = DATASETS[module]
    real = datasets.load_dataset(str(hub_mirror() / hub_id), config, split=SPLITS[module][1])
    rows = list(world.rows(0, SPLITS[module][1]))[:50]
    assert set(rows[0]) == set(real.column_names)
    made = datasets.Dataset.from_list(rows, features=real.features)  # raises where a value does not fit its type
    assert made.features == real.features
    assert [type(value) for value in made[0].values()] == [type(value) for value in real[0].values()]
    if module is not stsb:
        column = module.FORMAT.column
        assert (rows[0][column].mode, rows[0][column].size) == (real[0][column].mode, real[0][column].size)


def test_hub_rows_give_inputs_of_the_bundled_shape_and_every_class(module):
    _, hub_id, config = DATASETS[module]
    limits = {"n_train": 1000, "n_test": 1000}
    splits = load(module, hub_mirror(), hub_id, hub_config=config, **limits)
    bundled = load(module, **limits)
    assert (len(splits.train.labels), len(splits.test.labels)) == (1000, 1000)
    assert torch.bincount(splits.train.labels).min() > 50
    if isinstance(splits.train.inputs, torch.Tensor):
        assert splits.train.inputs.shape == bundled.train.inputs.shape
        assert splits.train.inputs.mean().abs() < 0.1 and 0.9 < splits.train.inputs.std() < 1.1
