"""A world of concept sets with sentences, in the schema of `allenai/common_gen`.

A set has a person, a deed, a thing and a place, and some a season; its sentences tell of them in the words of the
stories. No concept set is in two splits.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from rftlab.data.worlds.grammar import COLOURS, Generated, article, fill, generator, numbers_of, pick
from rftlab.data.worlds.stories import OBJECTS, ROLES, SEASONS, SITES

SETS = {"train": 4000, "validation": 400}
PLAIN = {
    "corpus-train": 16000,
    "corpus-validation": 1000,
    "corpus-test": 1000,
    "tokenizer": 2000,
}  # sets of plain texts
SENTENCES = {"train": 1, "validation": 3}  # per set; the first ones of all sets come first
DEEDS = (
    ("hide", "hid"),
    ("find", "found"),
    ("sell", "sold"),
    ("steal", "stole"),
    ("carry", "carried"),
    ("paint", "painted"),
    ("break", "broke"),
    ("clean", "cleaned"),
)
LISTS = (ROLES, DEEDS, OBJECTS, SITES, (*SEASONS, None))
SENTENCE = (
    "{when} the {role} {did} {a_thing} in the {site}",
    "{when} the {role} {did} the {thing} of the {site}",
    "In the {site} {a_role} {did} {a_thing} {when}",
)


def prose(seed: int, split: str, index: int) -> str:
    """Return the sentence of a concept set that no split of the task has."""
    sets = _plain(seed, split)
    number = int(generator(seed, "concepts", split, index).integers(len(sets)))
    return _row(seed, split, number, sets)["target"]


@lru_cache(maxsize=len(PLAIN))
def _plain(seed: int, split: str) -> np.ndarray:
    return numbers_of(seed, "concepts", tuple(map(len, LISTS)), SETS | PLAIN, split)


def rows(seed: int, split: str) -> Generated[dict]:
    """Make one row per sentence, with the columns of the hub dataset."""
    sets = numbers_of(seed, "concepts", tuple(map(len, LISTS)), SETS, split)
    return Generated(lambda number: _row(seed, split, number, sets), SETS[split] * SENTENCES[split])


def _row(seed: int, split: str, number: int, sets: np.ndarray) -> dict:
    index = number % len(sets)
    role, (do, did), thing, site, season = (options[i] for options, i in zip(LISTS, sets[index], strict=True))
    concepts = [word for word in (role, do, thing, site, season) if word is not None]
    order = generator(seed, "concepts", split, index).permutation(len(concepts)).tolist()
    words = {"role": role, "a_role": article(role), "did": did, "site": site}
    words["when"] = "one day" if season is None else f"in {season}"
    sentence = _sentence(generator(seed, "concepts", split, "sentence", number), words, thing)
    return {"concept_set_idx": index, "concepts": [concepts[i] for i in order], "target": sentence}


def _sentence(rng: np.random.Generator, words: Mapping[str, str], thing: str) -> str:
    coloured = f"{pick(rng, COLOURS)} {thing}"
    return fill(pick(rng, SENTENCE), {**words, "thing": coloured, "a_thing": article(coloured)}) + "."
