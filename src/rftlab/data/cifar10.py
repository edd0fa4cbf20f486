"""CIFAR-10 (Krizhevsky 2009): images (n, 3, 32, 32) of ten classes, normalised as by Razin et al. 2024."""

from rftlab.data.parts.images import ImageFormat, image_dataset
from rftlab.data.worlds import pictures

FORMAT = ImageFormat(column="img", mode="RGB", side=32, mean=(0.491, 0.482, 0.446), std=(0.247, 0.243, 0.261))
DATASET = image_dataset(FORMAT, classes=10, bundled=pictures.rows)
load = DATASET.load
