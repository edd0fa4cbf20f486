"""A world of sentence pairs, in the schema of GLUE's `stsb`: `sentence1`, `sentence2`, `label` (0-5, float), `idx`.

A sentence tells five facts: who does what to which thing, where and when. Each fact that both sentences tell adds 1 to
their similarity, each that they tell of something related adds `RELATED`. Facts in common may differ in wording, and
the sentences in their order of words and in voice.
"""

import numpy as np

from rftlab.data.worlds.grammar import fill, generator, pick, pick_many

SIZES = {"train": 3600, "validation": 900}
RELATED = 0.4
RELATED_FACTS = (0, 0, 1, 1, 2)  # how many facts are related, each as likely, as far as facts are left

# kinds of facts > groups of related facts > facts > wordings
WHO = (
    (("a man", "a guy"), ("a woman", "a lady")),
    (("a boy", "a young boy"), ("a girl", "a young girl")),
    (("a farmer", "a grower"), ("a gardener",)),
    (("a doctor", "a physician"), ("a nurse",)),
    (("a soldier",), ("a policeman", "a police officer")),
    (("a singer", "a vocalist"), ("a dancer",)),
    (("a monkey", "an ape"), ("a bear",)),
    (("a robot", "a machine"), ("a clown", "a jester")),
)
DOES = (  # active and passive form in one wording
    (("carries/carried", "hauls/hauled"), ("pushes/pushed", "shoves/shoved")),
    (("paints/painted",), ("sketches/sketched", "draws/drawn")),
    (("cleans/cleaned", "washes/washed"), ("wipes/wiped",)),
    (("hides/hidden", "conceals/concealed"), ("covers/covered",)),
    (("buys/bought", "purchases/purchased"), ("sells/sold",)),
    (("repairs/repaired", "fixes/fixed"), ("builds/built", "assembles/assembled")),
    (("breaks/broken", "smashes/smashed"), ("kicks/kicked",)),
    (("watches/watched", "observes/observed"), ("films/filmed", "records/recorded")),
)
WHAT = (
    (("a box", "a crate"), ("a basket",)),
    (("a guitar",), ("a violin", "a fiddle")),
    (("a bicycle", "a bike"), ("a cart", "a wagon")),
    (("a chair", "a seat"), ("a table", "a desk")),
    (("a boat", "a small boat"), ("a raft",)),
    (("a lamp", "a lantern"), ("a candle",)),
    (("a cup", "a mug"), ("a plate", "a dish")),
    (("a fence",), ("a gate", "a garden gate")),
)
WHERE = (
    (("in the garden",), ("in the park", "in a park")),
    (("on the beach", "on the shore"), ("by the river", "at the riverside")),
    (("in the kitchen",), ("in the bathroom", "in the washroom")),
    (("on the street", "on the road"), ("on the bridge",)),
    (("in a shop", "in a store"), ("at the market",)),
    (("in the forest", "in the woods"), ("on a hill", "on a hillside")),
    (("at school", "in the school"), ("in the library",)),
    (("on a stage", "on stage"), ("in a tent",)),
)
WHEN = (
    (("at noon", "at midday"), ("in the afternoon",)),
    (("in the morning",), ("at dawn", "at sunrise")),
    (("at night", "by night"), ("at midnight",)),
    (("in winter", "in wintertime"), ("in autumn", "in the fall")),
    (("in summer", "in summertime"), ("in spring", "in springtime")),
    (("on Monday",), ("on Tuesday",)),
    (("on Saturday",), ("on Sunday",)),
    (("every day", "daily"), ("every week", "weekly")),
)
KINDS = (WHO, DOES, WHAT, WHERE, WHEN)

TEMPLATES = (
    "{who} {does} {what} {where} {when}.",
    "{when}, {who} {does} {what} {where}.",
    "{where}, {who} {does} {what} {when}.",
    "{what} is {done} by {who} {where} {when}.",
    "{when}, {what} is {done} by {who} {where}.",
)

Fact = tuple[int, int]  # group and place in the group


def prose(seed: int, split: str, index: int) -> str:
    """Return one plain sentence."""
    return pair(generator(seed, "pair", split, index), 0)[0]


def rows(seed: int, split: str) -> list[dict]:
    """Make one row per pair, with the columns of the hub dataset; the number of common facts takes turns."""
    made = [pair(generator(seed, "pair", split, index), index % (len(KINDS) + 1)) for index in range(SIZES[split])]
    return [
        {"sentence1": first, "sentence2": second, "label": label, "idx": index}
        for index, (first, second, label) in enumerate(made)
    ]


def pair(rng: np.random.Generator, common: int) -> tuple[str, str, float]:
    """Make two sentences with so many facts in common, and their similarity."""
    related = min(pick(rng, RELATED_FACTS), len(KINDS) - common)
    relations = ["same"] * common + ["related"] * related + ["other"] * (len(KINDS) - common - related)
    first = [(int(rng.integers(len(kind))), int(rng.integers(2))) for kind in KINDS]
    second = [
        _partner(rng, fact, len(kind), relation)
        for fact, kind, relation in zip(first, KINDS, pick_many(rng, relations, len(relations)), strict=True)
    ]
    return _sentence(rng, first), _sentence(rng, second), round(common + RELATED * related, 1)


def _partner(rng: np.random.Generator, fact: Fact, groups: int, relation: str) -> Fact:
    """Draw the fact of the second sentence: the same, the other of its group, or one of another group."""
    group, place = fact
    if relation == "same":
        return fact
    if relation == "related":
        return group, 1 - place
    return (group + 1 + int(rng.integers(groups - 1))) % groups, int(rng.integers(2))


def _sentence(rng: np.random.Generator, facts: list[Fact]) -> str:
    who, does, what, where, when = (
        pick(rng, kind[group][place]) for kind, (group, place) in zip(KINDS, facts, strict=True)
    )
    active, passive = does.split("/")
    words = {"who": who, "does": active, "done": passive, "what": what, "where": where, "when": when}
    return fill(pick(rng, TEMPLATES), words)
