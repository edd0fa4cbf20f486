"""The image loaders: normalisation, class-stratified subsets, bundled pictures, and what they refuse."""

import logging
import os
from pathlib import Path
from types import ModuleType

import datasets
import numpy as np
import pytest
import torch
from members import member_of, write
from PIL import Image
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from torch import nn

from rftlab.data import cifar10, mnist
from rftlab.data.parts import images
from rftlab.data.parts.classes import stratified
from rftlab.data.worlds import digits, pictures
from rftlab.errors import UserError
from rftlab.types import LabelSet

LOADERS = [mnist, cifar10]
FEATURES = {
    module: datasets.Features({module.FORMAT.column: datasets.Image(), "label": datasets.ClassLabel(10)})
    for module in LOADERS
}


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder for a mirror, read through a cache of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def load(module: ModuleType, mirror: Path | None = None, **changes):
    return member_of(module).load(mirror, **changes)


def write_rows(mirror: Path, module: ModuleType, rows: list[dict]) -> None:
    """Write the same rows as both splits of `org/set`."""
    write(mirror / "org" / "set", {"train": rows, "test": rows}, FEATURES[module])


def picture(module: ModuleType, value: int = 0, side: int | None = None) -> Image.Image:
    """Make an image of one grey value."""
    form = module.FORMAT
    return Image.new("L", (side or form.side,) * 2, value).convert(form.mode)


def rows_of(module, *labels: int) -> list[dict]:
    return [{module.FORMAT.column: picture(module, label), "label": label} for label in labels]


def accuracy(net: nn.Module, split: LabelSet) -> float:
    assert isinstance(split.inputs, torch.Tensor)
    return (net(split.inputs).argmax(1) == split.labels).float().mean().item()


def train(net: nn.Module, split: LabelSet, epochs: int) -> None:
    assert isinstance(split.inputs, torch.Tensor)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(split.labels)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(split.inputs[batch]), split.labels[batch]).backward()
            optimizer.step()


def mlp(width: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 10))


def test_grey_pixels_are_scaled_and_normalised():
    pixels = np.array([[[[0], [255]], [[51], [255]]]], dtype=np.uint8)
    inputs = images.normalise(pixels, mnist.FORMAT)
    expected = (torch.tensor([[[[0.0, 1.0], [0.2, 1.0]]]]) - 0.1307) / 0.3081
    torch.testing.assert_close(inputs, expected)
    assert inputs.dtype == torch.float32 and inputs.is_contiguous()


def test_colour_channels_come_first_and_are_normalised_each():
    pixels = np.array([[[[255, 0, 51]]]], dtype=np.uint8)
    inputs = images.normalise(pixels, cifar10.FORMAT)
    expected = [(1 - 0.491) / 0.247, (0 - 0.482) / 0.243, (0.2 - 0.446) / 0.261]
    torch.testing.assert_close(inputs, torch.tensor(expected).view(1, 3, 1, 1))


@pytest.mark.parametrize("module", LOADERS)
def test_hub_rows_keep_their_order_pixels_and_labels(mirror: Path, module):
    order = [*range(10), *reversed(range(10))]
    write_rows(mirror, module, rows_of(module, *order))
    splits = load(module, mirror)
    form = module.FORMAT
    assert splits.source == "hub"
    for split in (splits.train, splits.test):
        assert split.inputs.shape == (20, len(form.mean), form.side, form.side)
        assert split.labels.tolist() == order
        first = (torch.tensor(order) / 255 - form.mean[0]) / form.std[0]
        torch.testing.assert_close(split.inputs[:, 0, 3, 3], first)


@pytest.mark.parametrize("module", LOADERS)
def test_limits_keep_a_stratified_subset_that_the_seed_chooses(mirror: Path, module):
    write_rows(mirror, module, rows_of(module, *(range(10)), *([3] * 10), *(range(10))))
    splits = load(module, mirror, n_train=15, n_test=30)
    assert torch.bincount(splits.train.labels).tolist() == [1, 1, 1, 6, 1, 1, 1, 1, 1, 1]
    assert len(splits.test.labels) == 30
    again, other = load(module, mirror, n_train=15), load(module, mirror, n_train=15, seed=1)
    assert torch.equal(again.train.labels, splits.train.labels)
    assert not torch.equal(other.train.labels, splits.train.labels)
    values = splits.train.inputs[:, 0, 0, 0] * module.FORMAT.std[0] + module.FORMAT.mean[0]
    assert (values * 255).round().long().tolist() == splits.train.labels.tolist()  # images stay with their labels


def test_stratified_sizes_are_proportional_and_exact():
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    chosen = stratified(labels, 33, np.random.default_rng(0))
    assert np.bincount(labels[chosen]).tolist() == [23, 7, 3]  # 23.1, 6.6, 3.3
    assert (np.diff(chosen) > 0).all()
    assert stratified(labels, 500, np.random.default_rng(0)).tolist() == list(range(100))


@pytest.mark.parametrize("module", LOADERS)
@pytest.mark.parametrize("key", ["n_train", "n_test"])
def test_fewer_rows_than_classes_are_refused(module, key: str):
    with pytest.raises(UserError) as error:
        load(module, **{key: 9})
    assert error.value.change == f"data.loader.{key}"
    assert load(module, **{key: 10})


@pytest.mark.parametrize("module", LOADERS)
@pytest.mark.parametrize("label", [-1, 10])
def test_a_label_out_of_range_is_refused(mirror: Path, module, label: int):
    features = datasets.Features(FEATURES[module] | {"label": datasets.Value("int64")})
    rows = rows_of(module, *range(10))
    write(mirror / "org" / "set", {"train": [*rows[:-1], rows[-1] | {"label": label}], "test": rows}, features)
    found = rf"row 9 of split 'train' of org/set has label={label}; expected a whole number from 0 to 9; change data"
    with pytest.raises(UserError, match=found):
        load(module, mirror)


def test_another_image_size_is_refused(mirror: Path):
    rows = [{"image": picture(mnist, side=32), "label": label} for label in range(10)]
    write_rows(mirror, mnist, rows)
    found = "row 0 of split 'train' of org/set has in image an image of 32 x 32 pixels; expected images of 28 x 28"
    with pytest.raises(UserError, match=found):
        load(mnist, mirror)


def test_bytes_that_are_no_image_are_refused(mirror: Path):
    rows = rows_of(mnist, *range(10))
    rows[7]["image"] = {"bytes": b"nothing", "path": None}
    write_rows(mirror, mnist, rows)
    with pytest.raises(UserError, match="row 7 of split 'train' of org/set cannot be decoded"):
        load(mnist, mirror)


@pytest.mark.parametrize(("world", "module"), [(digits, mnist), (pictures, cifar10)])
def test_bundled_rows_have_the_image_kind_of_the_hub_and_every_class(world, module):
    form = module.FORMAT
    for split in ("train", "test"):
        rows = list(world.rows(0, split))
        assert {(row[form.column].mode, row[form.column].size) for row in rows} == {(form.mode, (form.side,) * 2)}
        assert {row["label"] for row in rows} == set(range(10))


def test_bundled_digits_are_all_of_the_source_and_framed():
    splits = load(mnist)
    assert (len(splits.train.labels), len(splits.test.labels)) == (1438, 359)
    assert splits.source == "bundled"
    dark = splits.train.inputs.min()
    assert (splits.train.inputs[:, :, :4] == dark).all() and (splits.train.inputs[:, :, :, -4:] == dark).all()


def test_a_small_network_reads_the_bundled_digits():
    splits = load(mnist, n_train=1000)
    net = mlp(28 * 28)
    train(net, splits.train, epochs=6)
    assert accuracy(net, splits.test) > 0.85


def test_a_small_network_knows_the_bundled_pictures():
    splits = load(cifar10, n_train=2000, n_test=500)
    net = mlp(3 * 32 * 32)
    train(net, splits.train, epochs=8)
    assert accuracy(net, splits.test) > 0.45  # chance is 0.1
    assert accuracy(net, splits.train) > 0.8


def test_no_single_pixel_gives_a_picture_away():
    splits = load(cifar10)
    train_pixels, test_pixels = (
        split.inputs[:, :, 1::6, 1::6].flatten(2).numpy() for split in (splits.train, splits.test)
    )
    scores = [
        QuadraticDiscriminantAnalysis()
        .fit(train_pixels[:, :, place], splits.train.labels)
        .score(test_pixels[:, :, place], splits.test.labels)
        for place in range(train_pixels.shape[2])
    ]
    assert max(scores) < 0.25


def test_pictures_of_one_class_differ_in_place_and_colour():
    drawn = pictures.draw(np.random.default_rng(0), 0, 50).astype(float)
    assert drawn.mean(axis=(1, 2)).std(axis=0).min() > 20


def test_a_mirror_with_fewer_rows_than_asked_is_told(mirror: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "rftlab")
    write_rows(mirror, mnist, rows_of(mnist, *range(10), *range(10)))
    load(mnist, mirror, n_train=20, n_test=10)
    assert not caplog.messages
    load(mnist, mirror, n_train=21, n_test=10)
    assert caplog.messages == ["split 'train' has 20 rows, fewer than data.loader.n_train=21: all are taken"]


@pytest.mark.parametrize("module", LOADERS)
def test_hub_rows_give_inputs_of_the_bundled_shape_and_every_class(module):
    mirror = os.environ.get("RFTLAB_HUB_MIRROR")
    if mirror is None:
        pytest.skip("set RFTLAB_HUB_MIRROR to a folder with the hub's parquet files to read real images")
    keys = member_of(module).keys
    splits = load(module, Path(mirror), n=1000, hub_id=keys["hub_id"], hub_config=keys["hub_config"])
    assert (len(splits.train.labels), len(splits.test.labels)) == (1000, 1000)
    assert torch.bincount(splits.train.labels).min() > 50
    assert splits.train.inputs.shape[1:] == load(module, n=10).train.inputs.shape[1:]
    assert splits.train.inputs.mean().abs() < 0.1 and 0.9 < splits.train.inputs.std() < 1.1
