"""A world of conversations, in the schema of `li2017dailydialog/daily_dialog`: `dialog`, `act`, `emotion`.

Two people ask each other about things, places and people of the stories, and each answer takes up a word of its
question. Turns have a space at both ends, as on the hub.
"""

import numpy as np

from rftlab.data.worlds.grammar import COLOURS, NAMES, Generated, article, fill, generator, pick, pick_many
from rftlab.data.worlds.stories import MEALS, NUMBERS, OBJECTS, ROLES, SEASONS, SITES, TOWNS

SIZES = {"train": 1600, "validation": 160, "test": 160}  # conversations
EXCHANGES = (3, 5)  # per conversation, both ends included; two turns each
INFORM, QUESTION, DIRECTIVE, COMMISSIVE = 1, 2, 3, 4  # of the hub's `act`; 0 is never used
NEUTRAL, HAPPY, SAD = 0, 4, 5  # of the hub's `emotion`

# what one says, its act, what the other answers, its act, its emotion
ASKED = (
    ("Where did you find the {thing}?", QUESTION, "I found the {thing} in the {site}.", INFORM, NEUTRAL),
    ("Who sold you {a_thing}?", QUESTION, "The {role} {name} sold me the {thing} in {town}.", INFORM, NEUTRAL),
    ("Do you like the {meal} here?", QUESTION, "Yes, the {meal} is very good today.", INFORM, HAPPY),
    ("Please bring me the {thing}.", DIRECTIVE, "I will bring the {thing} in {number} minutes.", COMMISSIVE, NEUTRAL),
    ("Have you seen {name} in {town}?", QUESTION, "No, {name} went away in {season}.", INFORM, NEUTRAL),
    ("How much is the {thing}?", QUESTION, "The {thing} is {number} coins.", INFORM, NEUTRAL),
    ("I lost my {thing} in the {site}.", INFORM, "What a pity, it was a good {object}.", INFORM, SAD),
    ("Shall we go to {town} in {season}?", DIRECTIVE, "Yes, I love {town} in {season}.", COMMISSIVE, HAPPY),
    ("What is your work?", QUESTION, "I am {a_role} in {town}.", INFORM, NEUTRAL),
    ("Take the {meal} to {name}, please.", DIRECTIVE, "Of course, {name} waits in the {site}.", COMMISSIVE, NEUTRAL),
)


def prose(seed: int, split: str, index: int) -> str:
    """Return the plain text of a conversation."""
    return "".join(_row(generator(seed, "talk", split, index))["dialog"]).strip().replace("  ", " ")


def rows(seed: int, split: str) -> Generated[dict]:
    """Make one row per conversation, with the columns of the hub dataset."""
    return Generated(lambda number: _row(generator(seed, "talk", split, number)), SIZES[split])


def _row(rng: np.random.Generator) -> dict:
    turns: list[tuple[str, int, int]] = []
    for said, its_act, answer, act, emotion in pick_many(rng, ASKED, int(rng.integers(EXCHANGES[0], EXCHANGES[1] + 1))):
        words = _words(rng)
        turns += [(fill(said, words), its_act, NEUTRAL), (fill(answer, words), act, emotion)]
    texts, acts, emotions = zip(*turns, strict=True)
    return {"dialog": [f" {text} " for text in texts], "act": list(acts), "emotion": list(emotions)}


def _words(rng: np.random.Generator) -> dict[str, str]:
    item, role = pick(rng, OBJECTS), pick(rng, ROLES)
    thing = f"{pick(rng, COLOURS)} {item}"
    return {
        "thing": thing,
        "a_thing": article(thing),
        "object": item,
        "site": pick(rng, SITES),
        "role": role,
        "a_role": article(role),
        "name": pick(rng, NAMES),
        "town": pick(rng, TOWNS),
        "meal": pick(rng, MEALS),
        "number": pick(rng, NUMBERS),
        "season": pick(rng, SEASONS),
    }
