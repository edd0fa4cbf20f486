"""Which prompts a loop sees, and in which order: functions of the seed and the position, with no state."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Int

from rftlab.streams import stream_seed
from rftlab.types import Example

T = TypeVar("T")


@runtime_checkable
class Order(Protocol):
    """Which prompts a run takes: a function of the seed and the place (from 0), with no state."""

    def __call__(self, examples: Sequence[Example], count: int, seed: int, position: int) -> list[Example]:
        """Take `count` examples from place `position` on."""
        ...


def in_passes(examples: Sequence[Example], count: int, seed: int, position: int) -> list[Example]:
    """Take every example once before any comes again, as `draw` does."""
    return [example for example, _ in draw(examples, count, seed, position)]


def draw(examples: Sequence[T], count: int, seed: int, position: int) -> list[tuple[T, int]]:
    """Take `count` examples from place `position` (from 0) of the order of a run: passes, each in a fresh random order.

    Returns:
        (example, index of the pass) pairs.
    """
    drawn = []
    for place in range(position, position + count):
        epoch, offset = divmod(place, len(examples))
        drawn.append((examples[int(shuffled(len(examples), seed, epoch)[offset])], epoch))
    return drawn


@lru_cache(maxsize=2)
def shuffled(n: int, seed: int, epoch: int) -> Int[np.ndarray, " n"]:
    """Give the random order of a pass over n examples."""
    return np.random.default_rng(stream_seed(seed, "order", epoch)).permutation(n)


def prefix(examples: Sequence[T], fraction: float, seed: int) -> Sequence[T]:
    """Keep the first int(n * fraction) examples, at least one, of a permutation that depends on the seed alone.

    A larger share therefore contains every smaller one (Razin et al. 2024, section 5.2, released code).
    """
    if fraction == 1.0:
        return examples
    order = np.random.default_rng(stream_seed(seed, "samples")).permutation(len(examples))
    return [examples[int(i)] for i in order[: max(1, int(len(examples) * fraction))]]
