"""Labelled images in the schema of the hub's image datasets, as normalised tensors with class-stratified subsets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import datasets
import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from rftlab.data.parts.classes import check_limits, class_labels, stratified
from rftlab.data.parts.hub import tell_shortage
from rftlab.data.worlds.grammar import generator
from rftlab.errors import UserError
from rftlab.types import LabelSet, LabelSplits

DECODING_ERRORS = (OSError, SyntaxError, ValueError)  # what Pillow raises for bytes that are no image, or broken

Rows = datasets.Dataset | Sequence[Mapping]


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """How the rows of one dataset become tensors: column, Pillow mode, pixels per side, and numbers per channel."""

    column: str
    mode: str  # L: one channel; RGB: three
    side: int
    mean: tuple[float, ...]  # of pixel values in [0, 1]
    std: tuple[float, ...]
    classes: int


def load_splits(
    form: ImageFormat,
    read: Callable[[str], Rows],
    *,
    name: str,
    n_train: int | None,
    n_test: int | None,
    seed: int,
    source: str,
) -> LabelSplits:
    """Read both splits by `read(split)`, keep a class-stratified subset of each and decode only that.

    Args:
        form: the format of the images.
        read: gives the rows of `train` or `test`.
        name: the dataset, for errors.
        n_train: rows to keep, drawn from `seed` in the dataset's order; None, or more than there are, keeps all.
        n_test: the same for the test split.
        seed: of the subsets.
        source: `bundled` or `hub`.

    Raises:
        UserError: a limit below the number of classes, a label out of range, or an image of another kind.
    """
    check_limits({"n_train": n_train, "n_test": n_test}, form.classes)

    def label_set(split: str, limit: int | None) -> LabelSet:
        rows, place = read(split), f"split '{split}' of {name}"
        labels = class_labels(_labels(rows), form.classes, place)
        tell_shortage(len(labels), limit, split)
        chosen = stratified(labels.numpy(), limit, generator(seed, "subset", split))
        pixels = _pixels(_select(rows, chosen), form, place)
        return LabelSet(inputs=normalise(pixels, form), labels=labels[torch.from_numpy(chosen)])

    return LabelSplits(train=label_set("train", n_train), test=label_set("test", n_test), source=source)


def normalise(pixels: Int[np.ndarray, "n h w c"], form: ImageFormat) -> Float[Tensor, "n c h w"]:
    """Scale 0-255 to [0, 1], then subtract the mean and divide by the standard deviation of each channel."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (form.mean, form.std))
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return inputs.div_(255).sub_(mean).div_(std)  # in place: a whole dataset is several hundred MB


def _labels(rows: Rows) -> list:
    """Read the labels alone, which decodes no image."""
    return rows["label"][:] if isinstance(rows, datasets.Dataset) else [row["label"] for row in rows]


def _select(rows: Rows, chosen: Int[np.ndarray, " n"]) -> Iterable[Mapping]:
    return rows.select(chosen) if isinstance(rows, datasets.Dataset) else [rows[int(index)] for index in chosen]


def _pixels(rows: Iterable[Mapping], form: ImageFormat, place: str) -> Int[np.ndarray, "n h w c"]:
    """Decode the images of rows to 8-bit pixels; rows of a hub dataset hold them as bytes until they are read."""
    try:
        images = [_image(row[form.column], form, place) for row in rows]
    except DECODING_ERRORS as error:
        raise _wrong_image(f"an image that cannot be decoded ({type(error).__name__})", form, place) from error
    return np.stack(images).reshape(len(images), form.side, form.side, -1)


def _image(image: object, form: ImageFormat, place: str) -> Int[np.ndarray, "h w *c"]:
    if not isinstance(image, Image.Image):
        raise _wrong_image(f"a value of type {type(image).__name__}", form, place)
    if image.size != (form.side, form.side):
        raise _wrong_image(f"an image of {image.width} x {image.height} pixels", form, place)
    return np.asarray(image if image.mode == form.mode else image.convert(form.mode))


def _wrong_image(found: str, form: ImageFormat, place: str) -> UserError:
    return UserError(
        f"column {form.column} in {place} holds {found}",
        f"images of {form.side} x {form.side} pixels",
        "data.loader.hub_id or paths.hub_mirror to a dataset with such images, or data.source=bundled",
    )
