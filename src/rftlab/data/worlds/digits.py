"""A world of handwritten digits, in the schema of `ylecun/mnist`: `image` (28 x 28, grey), `label` (0-9).

The digits are those that scikit-learn carries: 1,797 images of 8 x 8 pixels. They are scaled up and framed as MNIST's
are, with an empty border of four pixels, so that its normalisation suits them.
"""

import numpy as np
from PIL import Image

from rftlab.data.parts.classes import stratified
from rftlab.data.worlds.grammar import generator

TRAIN_SHARE = 0.8  # of each class; the rest is the test split
SIDE, INNER = 28, 20  # pixels of the image and of the digit in it
DARKEST = 16  # of the values in the source


def rows(seed: int, split: str) -> list[dict]:
    """Make one row per digit, with the columns of the hub dataset; the seed decides which split a digit is in."""
    from sklearn.datasets import load_digits  # almost half a second, which runs on other data need not wait

    everything = load_digits()
    train = stratified(everything.target, round(len(everything.target) * TRAIN_SHARE), generator(seed, "digits"))
    chosen = {"train": train, "test": np.setdiff1d(np.arange(len(everything.target)), train)}[split]
    return [{"image": enlarge(everything.images[index]), "label": int(everything.target[index])} for index in chosen]


def enlarge(values: np.ndarray) -> Image.Image:
    """Scale a digit of 8 x 8 values from 0 to 16 to the inner square of a grey image with an empty border."""
    small = Image.fromarray(np.round(values / DARKEST * 255).astype(np.uint8))
    image = Image.new("L", (SIDE, SIDE))
    border = (SIDE - INNER) // 2
    image.paste(small.resize((INNER, INNER), Image.Resampling.BILINEAR), (border, border))
    return image
