"""Opinions about films, as short sentences: what the worlds with preference pairs share with the reviews."""

import numpy as np

from rftlab.data.worlds.grammar import NAMES, article, fill, pick
from rftlab.data.worlds.reviews import BLAME, BLAMING_VERBS, DECADES, GENRES, PARTS, PRAISE, PRAISING_VERBS

SENTENCES = (
    "The {part} is {word}.",
    "The {part} was really {word}.",
    "I {verb} the {part}.",
    "What {a_word} {part}!",
    "Everyone {verb} the {word} {part}.",
)


def film(rng: np.random.Generator, split: str) -> dict[str, str]:
    """Draw a film and a part of it; no film with the same name, genre and part is in two splits of the hub dataset."""
    while True:
        name, genre, part = (int(rng.integers(len(words))) for words in (NAMES, GENRES, PARTS))
        if ((name + genre + part) % 10 < 8) == (split == "train"):
            words = {"name": NAMES[name], "genre": GENRES[genre], "part": PARTS[part], "decade": pick(rng, DECADES)}
            return words | {"a_genre": article(words["genre"]), "friend": pick(rng, NAMES)}


def opinion(rng: np.random.Generator, part: str, positive: bool) -> str:
    """Say in a sentence that a part of a film is good, or bad."""
    words, verbs = (PRAISE, PRAISING_VERBS) if positive else (BLAME, BLAMING_VERBS)
    word = pick(rng, words)
    return fill(pick(rng, SENTENCES), {"part": part, "word": word, "a_word": article(word), "verb": pick(rng, verbs)})


def other_part(rng: np.random.Generator, part: str) -> str:
    """Draw a part of a film other than this one."""
    return pick(rng, [other for other in PARTS if other != part])
