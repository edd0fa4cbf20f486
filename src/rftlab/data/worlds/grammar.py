"""What the bundled worlds share: seeded generators, picking, sentence casing, and words of more than one world."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

import numpy as np
from jaxtyping import Int

T = TypeVar("T")

NAMES = [
    "Mara",
    "Orin",
    "Tessa",
    "Bruno",
    "Ilka",
    "Anton",
    "Greta",
    "Felix",
    "Nora",
    "Viktor",
    "Selma",
    "Hugo",
    "Petra",
    "Oskar",
    "Wanda",
    "Rufus",
    "Edda",
    "Milo",
    "Clara",
    "Jonas",
    "Freya",
    "Kaspar",
    "Lotte",
    "Simon",
    "Agnes",
    "Boris",
    "Dora",
    "Emil",
    "Hanna",
    "Igor",
    "Judit",
    "Karl",
    "Leda",
    "Magnus",
    "Pavel",
    "Rosa",
    "Sven",
    "Thora",
    "Yuri",
    "Zelda",
]

COLOURS = ["red", "blue", "green", "white", "black", "golden", "silver", "grey"]


@dataclass(frozen=True)
class Generated(Sequence[T], Generic[T]):
    """Items made when they are asked for; item i depends on i alone, so that any order and any subset agree."""

    make: Callable[[int], T]
    size: int

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self.make(i) for i in range(*index.indices(self.size))]
        if not -self.size <= index < self.size:
            raise IndexError(index)
        return self.make(index % self.size)


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """Derive an independent stream from a seed and a path of keys, e.g. (split, index)."""
    text = "/".join(str(key) for key in (seed, *keys))
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()))


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """Draw one option uniformly."""
    return options[int(rng.integers(len(options)))]


def pick_many(rng: np.random.Generator, options: Sequence[T], n: int) -> list[T]:
    """Draw n distinct options in random order."""
    return [options[i] for i in rng.permutation(len(options))[:n].tolist()]


def numbers_of(
    seed: int, world: str, shape: tuple[int, ...], sizes: Mapping[str, int], split: str
) -> Int[np.ndarray, "n k"]:
    """Draw the combinations of a split: one index into each of k lists of these lengths; no two splits share any."""
    before = sum(sizes[name] for name in list(sizes)[: list(sizes).index(split)])
    drawn = generator(seed, world).permutation(math.prod(shape))[before : before + sizes[split]]
    return np.stack(np.unravel_index(drawn, shape), axis=1)


def fill(template: str, words: Mapping[str, str]) -> str:
    """Fill the `{slots}` of a template and capitalise its first letter."""
    text = template.format_map(words)
    return text[:1].upper() + text[1:]


def article(noun_phrase: str) -> str:
    """Put `a` or `an` before a noun phrase."""
    return f"{'an' if noun_phrase[0] in 'aeiou' else 'a'} {noun_phrase}"


def row_id(*keys: str | int) -> str:
    """Name a generated row by a 40-digit hash of its keys, as long as the ids of hub rows."""
    return hashlib.sha1("/".join(str(key) for key in keys).encode()).hexdigest()
