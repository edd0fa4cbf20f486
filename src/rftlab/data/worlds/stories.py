"""A world of small-town stories with questions, in the schema of `deepmind/narrativeqa`.

A story binds people, things and places to each other, tells an event or two and later recalls each of them in other
words. Whoever fills a gap in it has to look elsewhere in the text. Answers are short and hold no articles, so that
story text at random scores near 0 ROUGE-L.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rftlab.data.worlds.grammar import COLOURS, NAMES, Generated, article, fill, generator, pick, pick_many, row_id

SIZES = {"train": 8000, "validation": 1000, "test": 1000}  # rows, i.e. questions
QUESTIONS_PER_STORY = 2
# Of a row. A tiny model learns to copy the word of the right kind, and does not learn to choose among events.
EVENTS_PER_STORY = 1
PROSE_EVENTS = 2  # at most, of a text for pretraining

ROLES = [
    "baker",
    "miller",
    "potter",
    "sailor",
    "doctor",
    "farmer",
    "tailor",
    "painter",
    "hunter",
    "teacher",
    "singer",
    "guard",
    "cook",
    "nurse",
    "smith",
    "fisher",
    "judge",
    "monk",
]
TOWNS = ["Norwick", "Tarn", "Saltby", "Harrow", "Ostend", "Morva", "Quill", "Velden"]
OBJECTS = [
    "key",
    "ring",
    "book",
    "lamp",
    "coin",
    "map",
    "bell",
    "cup",
    "sword",
    "mirror",
    "box",
    "letter",
    "drum",
    "crown",
    "clock",
    "knife",
    "rope",
    "basket",
    "hat",
    "pearl",
]
SITES = [
    "mill",
    "harbour",
    "forest",
    "tower",
    "cellar",
    "garden",
    "chapel",
    "market",
    "bridge",
    "cave",
    "stable",
    "field",
    "barn",
    "well",
    "castle",
    "river",
]
KINDS = ["old", "dark", "quiet", "small", "ruined", "northern", "empty", "hidden"]
VEHICLES = ["boat", "cart", "train", "horse", "sledge", "wagon", "ship", "mule"]
FEARS = ["thunder", "wolves", "ghosts", "spiders", "fire", "snow", "dogs", "bees"]
KIN = ["brother", "sister", "cousin", "uncle", "aunt", "friend", "daughter", "son"]
BUILDINGS = ["wall", "house", "oven", "table", "fence", "chair", "shed", "door"]
STUFFS = ["stone", "clay", "oak", "brick", "iron", "glass", "straw", "pine"]
NUMBERS = ["three", "four", "five", "six", "seven", "eight", "nine", "ten"]
MEALS = ["soup", "bread", "fish", "cheese", "cake", "eggs", "beans", "rice"]
SEASONS = ["spring", "summer", "autumn", "winter"]
SCENES = (
    "It rained all night.",
    "The town was quiet that year.",
    "Nobody spoke of it for a long time.",
    "Then the wind changed.",
    "The days grew short.",
    "People began to talk.",
    "Much time went by.",
    "That was how it began.",
)


@dataclass(frozen=True)
class Event:
    """One happening: how it is told, how it is recalled, and (question, answer, other answer) triples about it."""

    tell: tuple[str, ...]
    recall: tuple[str, ...]
    asks: tuple[tuple[str, str, str], ...]


EVENTS = (
    Event(
        ("In {season} {A} hid {a_thing} in the {place}.", "{A} took {a_thing} and hid it in the {place}."),
        (
            "Later the {thing} was found in the {place}, where {A} had hidden it.",
            "Nobody knew that {A} hid the {thing} in the {place}.",
        ),
        (
            ("Where did {A} hide the {thing}?", "{place}", "{site}"),
            ("What did {A} hide in the {place}?", "{thing}", "{object}"),
            ("Who hid the {thing} in the {place}?", "{A}", "{role_a}"),
        ),
    ),
    Event(
        ("{A} gave {B} {a_thing}.", "One morning {A} gave {a_thing} to {B}."),
        ("{B} always kept the {thing} that {A} gave away.", "The {thing} from {A} made {B} happy."),
        (
            ("What did {A} give to {B}?", "{thing}", "{object}"),
            ("Who gave the {thing} to {B}?", "{A}", "{role_a}"),
            ("Who got the {thing} from {A}?", "{B}", "{role_b}"),
        ),
    ),
    Event(
        ("{A} went to the {place} by {vehicle}.", "By {vehicle} {A} travelled to the {place}."),
        ("The {vehicle} took {A} back from the {place}.", "{A} came home from the {place} by {vehicle}."),
        (
            ("How did {A} travel to the {place}?", "{vehicle}", "by {vehicle}"),
            ("Where did {A} travel by {vehicle}?", "{place}", "{site}"),
            ("Who travelled to the {place} by {vehicle}?", "{A}", "{role_a}"),
        ),
    ),
    Event(
        (
            "{A} lost {a_thing} near the {place}, and {B} found it.",
            "Near the {place} {A} lost {a_thing}. {B} found it.",
        ),
        ("{A} thanked {B} for the {thing} from the {place}.", "{B} brought the {thing} back from the {place} to {A}."),
        (
            ("What did {A} lose near the {place}?", "{thing}", "{object}"),
            ("Where did {A} lose the {thing}?", "{place}", "{site}"),
            ("Who found the {thing} of {A}?", "{B}", "{role_b}"),
        ),
    ),
    Event(
        ("{A} was afraid of {fear}.", "Since childhood {A} feared {fear}."),
        ("{B} laughed because {A} was afraid of {fear}.", "When {fear} came, {A} ran to {B}."),
        (
            ("What was {A} afraid of?", "{fear}", "{fear} since childhood"),
            ("Who was afraid of {fear}?", "{A}", "{role_a}"),
        ),
    ),
    Event(
        ("{A} stole {a_thing} from {B}.", "At night {A} stole {a_thing} from the house of {B}."),
        ("{B} wanted the {thing} back from {A}.", "{A} was sorry and gave {B} the stolen {thing}."),
        (
            ("What did {A} steal from {B}?", "{thing}", "{object}"),
            ("Who stole the {thing} from {B}?", "{A}", "{role_a}"),
            ("From whom did {A} steal the {thing}?", "{B}", "{role_b}"),
        ),
    ),
    Event(
        ("{A} built {a_building} of {stuff} for {B}.", "For {B} {A} built {a_building} of {stuff}."),
        ("The {stuff} {building} of {B} was strong.", "{B} liked the {building} of {stuff} that {A} built."),
        (
            ("What did {A} build for {B}?", "{building}", "{stuff} {building}"),
            ("Of what was the {building} of {B} built?", "{stuff}", "solid {stuff}"),
            ("Who built the {building} of {stuff}?", "{A}", "{role_a}"),
        ),
    ),
    Event(
        ("{A} sold {a_thing} to {B} for {number} coins.", "{B} paid {A} {number} coins for {a_thing}."),
        ("{B} thought that {number} coins was too much for the {thing}.", "{A} counted the {number} coins from {B}."),
        (
            ("How many coins did {B} pay {A}?", "{number}", "{number} coins"),
            ("What did {A} sell to {B}?", "{thing}", "{object}"),
            ("Who sold the {thing} to {B}?", "{A}", "{role_a}"),
        ),
    ),
    Event(
        ("{A} cooked {meal} for {B} in the {place}.", "In the {place} {A} cooked {meal} for {B}."),
        ("{B} never forgot the {meal} that {A} cooked.", "The {meal} in the {place} tasted good to {B}."),
        (
            ("What did {A} cook for {B}?", "{meal}", "warm {meal}"),
            ("Where did {A} cook {meal}?", "{place}", "{site}"),
            ("Who cooked {meal} for {B}?", "{A}", "{role_a}"),
        ),
    ),
)
OPENINGS = (  # of the three people in turn
    ("{A} was a {role_a} in {town}.", "In {town} lived {A}, a {role_a}."),
    ("{B}, the {kin} of {A}, was a {role_b}.", "The {kin} of {A} was {B}, a {role_b}."),
    ("{C} was the {role_c} of {town}.", "{C} worked there as a {role_c}."),
)
ABOUT_PEOPLE = (
    ("What was the work of {A}?", "{role_a}", "town {role_a}"),
    ("Who was the {kin} of {A}?", "{B}", "{role_b}"),
    ("Who was the {role_b} of {town}?", "{B}", "{role_b} {B}"),
)


@dataclass(frozen=True)
class Story:
    """A finished story with its questions: (question, answer, other answer)."""

    text: str
    title: str
    asks: tuple[tuple[str, str, str], ...]


def make_story(rng: np.random.Generator, n_events: int) -> Story:
    """Draw people, events about them, and their order; every event is recalled after it was told."""
    people = pick_many(rng, NAMES, 3)
    roles = pick_many(rng, ROLES, 3)
    things = pick_many(rng, OBJECTS, n_events)
    sites = pick_many(rng, SITES, n_events)
    town, kin = pick(rng, TOWNS), pick(rng, KIN)
    cast = {"A": people[0], "B": people[1], "C": people[2], "town": town, "kin": kin}
    cast |= {"role_a": roles[0], "role_b": roles[1], "role_c": roles[2]}
    opening = [fill(pick(rng, variants), cast) for variants in OPENINGS[:n_events]]
    told, recalled, asks = [], [], []
    for event, thing, site in zip(pick_many(rng, EVENTS, n_events), things, sites, strict=True):
        words = _bind(rng, people, roles, thing, site)
        told.append(fill(pick(rng, event.tell), words))
        recalled.append(fill(pick(rng, event.recall), words))
        asks.extend((ask, words) for ask in event.asks)
    asks.extend((ask, cast) for ask in ABOUT_PEOPLE[: 1 if n_events == 1 else 3])  # of who is in the openings
    body = (
        [*told[:-1], pick(rng, SCENES), *recalled[:1], *told[-1:], *recalled[1:]]
        if n_events > 1
        else [*told, *recalled]
    )
    chosen = tuple(_ask(ask, words) for ask, words in pick_many(rng, asks, QUESTIONS_PER_STORY))
    return Story(text=" ".join(opening + body), title=f"{people[0]} of {town}", asks=chosen)


def story(seed: int, split: str, index: int) -> Story:
    """Make the story number `index` of a split; the same arguments give the same story."""
    return make_story(generator(seed, "story", split, index), EVENTS_PER_STORY)


def prose(seed: int, split: str, index: int) -> str:
    """Return the plain text of a short story, of one or two events, for pretraining."""
    rng = generator(seed, "prose", split, index)
    return make_story(rng, int(rng.integers(1, PROSE_EVENTS + 1))).text


def rows(seed: int, split: str) -> Generated[dict]:
    """Make one row per question, with the nested columns of the hub dataset; no two rows ask the same of one story."""
    return Generated(lambda number: _row(seed, split, number), SIZES[split])


def _row(seed: int, split: str, number: int) -> dict:
    told, document = _told(seed, split, number // QUESTIONS_PER_STORY)
    question, *answers = told.asks[number % QUESTIONS_PER_STORY]
    return {"document": document, "question": _text(question), "answers": [_text(answer) for answer in answers]}


@lru_cache(maxsize=1)  # the questions about a story are neighbours
def _told(seed: int, split: str, index: int) -> tuple[Story, dict]:
    """Make a story and its document, which all rows about it hold."""
    told = story(seed, split, index)
    return told, _document(told, row_id("story", seed, split, index))


def _bind(rng: np.random.Generator, people: list[str], roles: list[str], item: str, site: str) -> dict[str, str]:
    """Choose who does what with which thing where, for one event."""
    first, second = pick_many(rng, range(len(people)), 2)
    thing, building = f"{pick(rng, COLOURS)} {item}", pick(rng, BUILDINGS)
    return {
        "A": people[first],
        "B": people[second],
        "role_a": roles[first],
        "role_b": roles[second],
        "object": item,
        "thing": thing,
        "a_thing": article(thing),
        "site": site,
        "place": f"{pick(rng, KINDS)} {site}",
        "season": pick(rng, SEASONS),
        "vehicle": pick(rng, VEHICLES),
        "fear": pick(rng, FEARS),
        "building": building,
        "a_building": article(building),
        "stuff": pick(rng, STUFFS),
        "number": pick(rng, NUMBERS),
        "meal": pick(rng, MEALS),
    }


def _ask(ask: tuple[str, str, str], words: dict[str, str]) -> tuple[str, str, str]:
    question, answer, other = (fill(part, words) for part in ask)
    return question, answer, other


def _text(text: str) -> dict:
    """Wrap a text as the hub does, with its tokens."""
    return {"text": text, "tokens": _tokens(text)}


def _tokens(text: str) -> list[str]:
    for mark in ",.?":
        text = text.replace(mark, f" {mark} ")
    return text.split()


def _document(told: Story, identity: str) -> dict:
    words = told.text.split()
    summary = {"text": told.text, "tokens": _tokens(told.text), "url": "", "title": told.title}
    return {
        "id": identity,
        "kind": "bundled",
        "url": "",
        "file_size": len(told.text.encode()),
        "word_count": len(words),
        "start": " ".join(words[:5]),
        "end": " ".join(words[-5:]),
        "summary": summary,
        "text": "",  # the full story; the task reads the summary only
    }
