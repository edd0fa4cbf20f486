"""MNIST (LeCun et al. 1998): handwritten digits as images (n, 1, 28, 28), normalised as by Razin et al. 2024."""

from rftlab.data.parts.images import ImageFormat, image_dataset
from rftlab.data.worlds import digits

FORMAT = ImageFormat(column="image", mode="L", side=28, mean=(0.1307,), std=(0.3081,))
DATASET = image_dataset(FORMAT, classes=10, bundled=digits.rows)
load = DATASET.load
