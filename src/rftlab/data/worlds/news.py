"""A world of news, in the schema of `abisee/cnn_dailymail`: `article`, `highlights`, `id`.

An article reports a few events at length, with sentences between them that are no news; each highlight tells one event
in few words, in the order of the article.
"""

import numpy as np

from rftlab.data.worlds.grammar import COLOURS, NAMES, Generated, article, fill, generator, pick, pick_many, row_id
from rftlab.data.worlds.stories import NUMBERS, OBJECTS, ROLES, SCENES, SEASONS, SITES, TOWNS

SIZES = {"train": 4000, "validation": 400, "test": 400}
EVENTS_PER_ARTICLE = 3

# what the article says, and its highlight
EVENTS = (
    (
        "The {role} {name} found {a_thing} in the {site} of {town}, where nobody had looked for {number} years.",
        "{name} found {a_thing} in the {site}",
    ),
    (
        "People say that {name}, {a_role} from {town}, sold {a_thing} for {number} coins at the {site}.",
        "{a_thing} was sold for {number} coins",
    ),
    (
        "In {season} somebody stole {a_thing} from the {role} {name}, who had kept it in the {site} of {town}.",
        "{a_thing} was stolen from {name}",
    ),
    (
        "The {site} of {town} was closed for {number} days after the {role} {name} had broken {a_thing} there.",
        "The {site} of {town} was closed",
    ),
    (
        "{name}, who has been {a_role} for {number} years, will leave {town} in {season} with {a_thing}.",
        "{name} will leave {town} in {season}",
    ),
)


def prose(seed: int, split: str, index: int) -> str:
    """Return the plain text of an article."""
    return _row(seed, split, index)["article"]


def rows(seed: int, split: str) -> Generated[dict]:
    """Make one row per article, with the columns of the hub dataset."""
    return Generated(lambda number: _row(seed, split, number), SIZES[split])


def _row(seed: int, split: str, number: int) -> dict:
    rng = generator(seed, "news", split, number)
    towns = pick_many(rng, TOWNS, EVENTS_PER_ARTICLE)
    body, highlights = [], []
    for (told, short), town in zip(pick_many(rng, EVENTS, EVENTS_PER_ARTICLE), towns, strict=True):
        words = _words(rng) | {"town": town}
        body += [fill(told, words), pick(rng, SCENES)]
        highlights.append(f"{fill(short, words)} .")
    return {"article": " ".join(body), "highlights": "\n".join(highlights), "id": row_id("news", seed, split, number)}


def _words(rng: np.random.Generator) -> dict[str, str]:
    role, thing = pick(rng, ROLES), f"{pick(rng, COLOURS)} {pick(rng, OBJECTS)}"
    return {
        "role": role,
        "a_role": article(role),
        "name": pick(rng, NAMES),
        "a_thing": article(thing),
        "site": pick(rng, SITES),
        "number": pick(rng, NUMBERS),
        "season": pick(rng, SEASONS),
    }
