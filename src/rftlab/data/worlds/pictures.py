"""A world of drawn pictures, in the schema of `uoft-cs/cifar10`: `img` (32 x 32, RGB), `label` (0-9).

Each class is a figure or a texture. Place, size, tilt and colours vary and pixels are noisy, so that the class shows in
the shape and only faintly in the colour; no single pixel gives it away.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from rftlab.data.worlds.grammar import generator

SIZES = {"train": 4000, "test": 1000}
SIDE = 32
RADIUS = (8.0, 13.0)  # of a figure, pixels
SHIFT = 4.0  # largest distance of a figure from the centre, pixels, per axis
TILT = 0.3  # radians, either way
NOISE = 0.06  # standard deviation of a pixel's channel, of 1
CONTRAST = 0.45  # least distance of the two colours of a picture, in the RGB cube of side 1
COLOUR_SPREAD = 0.3  # standard deviation around the colour to which a class leans

Plane = Float[np.ndarray, "n h w"]


def _box(u: Plane, v: Plane) -> Plane:
    return 0.85 - np.maximum(np.abs(u), np.abs(v))


def _bands(x: Plane) -> Plane:
    """Make three bands of equal width with gaps as wide."""
    return (np.abs((1.5 * x) % 1 - 0.5) - 0.25) / 1.5


# the figures: coordinates from -1 to 1, result positive inside, near the border about the distance to it
FIGURES: tuple[Callable[[Plane, Plane], Plane], ...] = (
    lambda u, v: 1 - np.hypot(u, v),  # disc
    lambda u, v: 0.2 - np.abs(np.hypot(u, v) - 0.8),  # ring
    _box,
    lambda u, v: 0.2 - np.abs(np.maximum(np.abs(u), np.abs(v)) - 0.65),  # frame
    lambda u, v: np.minimum(0.7 - v, 0.55 * (v + 1) - np.abs(u)),  # triangle
    lambda u, v: np.minimum(0.28 - np.minimum(np.abs(u), np.abs(v)), 1 - np.maximum(np.abs(u), np.abs(v))),  # cross
    lambda u, v: np.minimum(_box(u, v), _bands(v)),  # horizontal bands
    lambda u, v: np.minimum(_box(u, v), _bands(u)),  # vertical bands
    lambda u, v: np.minimum(_box(u, v), 0.3 * np.sin(3.6 * u) * np.sin(3.6 * v)),  # checks
    lambda u, v: 0.42 - np.hypot(np.abs(u) - 0.55, v),  # two discs
)
# colour to which the figures of a class lean, on a scale without relation to the order of the classes
LEANINGS = (0.53, 0.31, 0.69, 0.42, 0.25, 0.75, 0.58, 0.36, 0.64, 0.47)


def rows(seed: int, split: str) -> list[dict]:
    """Make one row per picture, with the columns of the hub dataset; the labels take turns."""
    pixels = np.empty((SIZES[split], SIDE, SIDE, 3), dtype=np.uint8)
    for label in range(len(FIGURES)):
        part = pixels[label :: len(FIGURES)]
        part[:] = draw(generator(seed, "pictures", split, label), label, len(part))
    return [{"img": Image.fromarray(picture), "label": index % len(FIGURES)} for index, picture in enumerate(pixels)]


def draw(rng: np.random.Generator, label: int, n: int) -> UInt8[np.ndarray, "n h w 3"]:
    """Draw n pictures of one class: a figure in one colour on a ground of another, then noise."""
    radius = rng.uniform(*RADIUS, (n, 1, 1)).astype(np.float32)
    u, v = _coordinates(rng, radius)
    cover = np.clip(FIGURES[label](u, v) * radius + 0.5, 0, 1)[..., None]  # soft by one pixel at borders
    figure, ground = _colours(rng, label, n)
    pixels = ground + cover * (figure - ground)
    pixels += NOISE * rng.standard_normal(pixels.shape, dtype=np.float32)
    return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)


def _coordinates(rng: np.random.Generator, radius: Float[np.ndarray, "n 1 1"]) -> tuple[Plane, Plane]:
    """Give every pixel its coordinates in the shifted, tilted frame of the figure, in units of its radius."""
    shift = rng.uniform(-SHIFT, SHIFT, (2, *radius.shape)).astype(np.float32)
    tilt = rng.uniform(-TILT, TILT, radius.shape).astype(np.float32)
    axis = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    x, y = (axis[None, None, :] - shift[0]) / radius, (axis[None, :, None] - shift[1]) / radius
    return x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)


def _colours(
    rng: np.random.Generator, label: int, n: int
) -> tuple[Float[np.ndarray, "n 1 1 3"], Float[np.ndarray, "n 1 1 3"]]:
    """Draw the colours of figure and ground; where they are too close, the ground moves away by half the range."""
    leaning = np.roll([LEANINGS[label], 0.5, 1 - LEANINGS[label]], label % 3)
    figure = np.clip(rng.normal(leaning, COLOUR_SPREAD, (n, 3)), 0, 1)
    ground = rng.uniform(0, 1, (n, 3))
    close = np.linalg.norm(figure - ground, axis=1) < CONTRAST
    ground[close] = (figure[close] + 0.5) % 1
    return _per_picture(figure), _per_picture(ground)


def _per_picture(colours: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 1 1 3"]:
    return colours[:, None, None, :].astype(np.float32)
