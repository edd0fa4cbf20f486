"""Labelled images in the schema of the hub's image datasets, as normalised tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from rftlab.data.parts.classes import LabelDataset
from rftlab.data.parts.rows import Misfit
from rftlab.data.parts.splits import World


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """How the images of one dataset become tensors: column, Pillow mode, pixels per side, and numbers per channel."""

    column: str
    mode: str  # L: one channel; RGB: three
    side: int
    mean: tuple[float, ...]  # of pixel values in [0, 1]
    std: tuple[float, ...]

    def pixels(self, row: Mapping[str, Image.Image]) -> Int[np.ndarray, "h w *c"]:
        """Read the 8-bit pixels of the image of a row.

        Raises:
            Misfit: an image of another size.
        """
        image = row[self.column]
        if image.size != (self.side, self.side):
            found = f"has in {self.column} an image of {image.width} x {image.height} pixels"
            raise Misfit(found, f"images of {self.side} x {self.side} pixels")
        return np.asarray(image if image.mode == self.mode else image.convert(self.mode))

    def inputs(self, images: Sequence[Int[np.ndarray, "h w *c"]]) -> Float[Tensor, "n c h w"]:
        """Make the tensor of all images."""
        return normalise(np.stack(images).reshape(len(images), self.side, self.side, -1), self)


def image_dataset(form: ImageFormat, classes: int, bundled: World) -> LabelDataset:
    """Describe a dataset of images in a column of their own, with whole numbers as labels."""
    return LabelDataset(
        columns={form.column: Image.Image, "label": int},
        classes=classes,
        input=form.pixels,
        inputs=form.inputs,
        bundled=bundled,
        stratified=True,
    )


def normalise(pixels: Int[np.ndarray, "n h w c"], form: ImageFormat) -> Float[Tensor, "n c h w"]:
    """Scale 0-255 to [0, 1], then subtract the mean and divide by the standard deviation of each channel."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (form.mean, form.std))
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return inputs.div_(255).sub_(mean).div_(std)  # in place: a whole dataset is several hundred MB
