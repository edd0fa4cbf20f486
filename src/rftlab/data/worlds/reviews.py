"""A world of film reviews, in the schema of `stanfordnlp/imdb`: `text`, `label` (0 negative, 1 positive).

Each opinion of a review agrees with its label only somewhat more often than not. The first half of a review therefore
tells little about the mood of the second, so that continuations of one prompt differ in sentiment.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rftlab.data.worlds.grammar import NAMES, Generated, article, fill, generator, pick

SIZES = {"train": 10600, "test": 1000}
AGREEMENT = 0.64  # probability that an opinion agrees with the label
OPINIONS = (8, 12)  # opinions per review, both ends included

PRAISE = [
    "wonderful",
    "brilliant",
    "moving",
    "clever",
    "charming",
    "superb",
    "gripping",
    "delightful",
    "honest",
    "fresh",
    "perfect",
    "warm",
]
BLAME = [
    "boring",
    "awful",
    "stupid",
    "weak",
    "terrible",
    "clumsy",
    "lifeless",
    "painful",
    "cheap",
    "empty",
    "dull",
    "annoying",
]
PRAISING_VERBS = ["loved", "enjoyed", "admired"]
BLAMING_VERBS = ["hated", "regretted", "endured"]
PARTS = [
    "acting",
    "story",
    "music",
    "script",
    "ending",
    "camera",
    "dialogue",
    "plot",
    "cast",
    "direction",
    "beginning",
    "humour",
    "costume",
    "editing",
    "lighting",
    "opening",
    "villain",
    "hero",
    "romance",
    "chase",
]
GENRES = ["comedy", "drama", "thriller", "western", "romance", "mystery", "musical", "horror", "war", "crime"]
DECADES = ["fifties", "sixties", "seventies", "eighties", "nineties"]

OPENINGS = (
    "This {genre} by {name} came out in the {decade}.",
    "I saw this {genre} last week with {name}.",
    "{name} made this {genre} in the {decade}.",
    "My friend {name} told me about this {genre}.",
)
FACTS = (
    "{name} plays {a_genre} writer.",
    "It is set in the {decade}.",
    "The film is two hours long.",
    "{name} wrote the {part}.",
    "There is a {part} in every scene.",
)
OPINION_TEMPLATES = (
    "The {part} is {word}.",
    "The {part} was really {word} and {word2}.",
    "I {verb} the {part}.",
    "{name} is {word} in the main role.",
    "What {a_word} {part}!",
    "I found the {part} quite {word}.",
    "The {part} by {name} is {word}.",
    "Everyone {verb} the {word} {part}.",
)


def review(seed: int, split: str, index: int) -> tuple[str, int]:
    """Make the review number `index` of a split, and its label; the labels alternate."""
    rng = generator(seed, "review", split, index)
    label = index % 2
    sentences = [fill(pick(rng, OPENINGS), _neutral(rng))]
    for _ in range(int(rng.integers(OPINIONS[0], OPINIONS[1] + 1))):
        if rng.random() < 0.15:
            sentences.append(fill(pick(rng, FACTS), _neutral(rng)))
        positive = bool(label) if rng.random() < AGREEMENT else not label
        sentences.append(_opinion(rng, positive))
    return " ".join(sentences), label


def prose(seed: int, split: str, index: int) -> str:
    """Return the plain text of a review."""
    return review(seed, split, index)[0]


@dataclass(frozen=True)
class Row(Mapping[str, str | int]):
    """A review in the columns of the hub dataset; its text is made when it is read, as most rows are never chosen."""

    seed: int
    split: str
    index: int

    def __getitem__(self, column: str) -> str | int:
        if column == "label":
            return self.index % 2
        if column == "text":
            return prose(self.seed, self.split, self.index)
        raise KeyError(column)

    def __iter__(self) -> Iterator[str]:
        return iter(("text", "label"))

    def __len__(self) -> int:
        return 2


def rows(seed: int, split: str) -> Generated[Row]:
    """Make one row per review, with the columns of the hub dataset."""
    return Generated(lambda index: Row(seed, split, index), SIZES[split])


def _neutral(rng: np.random.Generator) -> dict[str, str]:
    genre = pick(rng, GENRES)
    return {
        "name": pick(rng, NAMES),
        "genre": genre,
        "a_genre": article(genre),
        "decade": pick(rng, DECADES),
        "part": pick(rng, PARTS),
    }


def _opinion(rng: np.random.Generator, positive: bool) -> str:
    words, verbs = (PRAISE, PRAISING_VERBS) if positive else (BLAME, BLAMING_VERBS)
    word = pick(rng, words)
    slots = {
        "word": word,
        "a_word": article(word),
        "word2": pick(rng, words),
        "verb": pick(rng, verbs),
        "part": pick(rng, PARTS),
        "name": pick(rng, NAMES),
    }
    return fill(pick(rng, OPINION_TEMPLATES), slots)
