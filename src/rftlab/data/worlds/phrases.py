"""A world of English sentences with their German translations, in the schema of `IWSLT/iwslt2017`.

The verb stands second in German, also behind an adverbial; subjects and objects bring their own article and case. The
embedded models have read sentences of both languages, and never two of a pair: SFT teaches them to translate. No pair
is in two splits.
"""

from functools import lru_cache

from rftlab.data.worlds.grammar import Generated, fill, generator, numbers_of, pick

SIZES = {"train": 4000, "validation": 400, "test": 400}
PLAIN = {
    "corpus-train": 16000,
    "corpus-validation": 1000,
    "corpus-test": 1000,
    "tokenizer": 2000,
}  # pairs for plain texts

WHEN = (
    ("", ""),
    ("in winter ", "im Winter "),
    ("in summer ", "im Sommer "),
    ("at night ", "in der Nacht "),
    ("yesterday ", "gestern "),
    ("on Sunday ", "am Sonntag "),
    ("last year ", "letztes Jahr "),
)
WHO = (
    ("the baker", "der Bäcker"),
    ("the doctor", "der Arzt"),
    ("the farmer", "der Bauer"),
    ("the judge", "der Richter"),
    ("the painter", "der Maler"),
    ("the teacher", "die Lehrerin"),
    ("the nurse", "die Krankenschwester"),
    ("my sister", "meine Schwester"),
    ("my brother", "mein Bruder"),
    ("our neighbour", "unser Nachbar"),
)
DID = (
    ("found", "fand"),
    ("lost", "verlor"),
    ("sold", "verkaufte"),
    ("bought", "kaufte"),
    ("stole", "stahl"),
    ("painted", "malte"),
    ("saw", "sah"),
    ("forgot", "vergaß"),
)
WHAT = (
    ("the key", "den Schlüssel"),
    ("the ring", "den Ring"),
    ("a mirror", "einen Spiegel"),
    ("the book", "das Buch"),
    ("a letter", "einen Brief"),
    ("the clock", "die Uhr"),
    ("a lamp", "eine Lampe"),
    ("the knife", "das Messer"),
    ("an old map", "eine alte Karte"),
    ("a small box", "eine kleine Kiste"),
    ("the red hat", "den roten Hut"),
    ("two coins", "zwei Münzen"),
)
WHERE = (
    ("in the mill", "in der Mühle"),
    ("in the garden", "im Garten"),
    ("at the market", "auf dem Markt"),
    ("in the forest", "im Wald"),
    ("on the bridge", "auf der Brücke"),
    ("in the cellar", "im Keller"),
    ("by the river", "am Fluss"),
    ("near the harbour", "beim Hafen"),
)
LISTS = (WHEN, WHO, DID, WHAT, WHERE)


def prose(seed: int, split: str, index: int) -> str:
    """Return an English or a German sentence that no split of the task has, never both of a pair beside each other."""
    numbers = _plain(seed, split)
    rng = generator(seed, "phrases", split, index)
    return _pair(numbers[int(rng.integers(len(numbers)))])[pick(rng, ("en", "de"))]


@lru_cache(maxsize=len(PLAIN))
def _plain(seed: int, split: str) -> list[list[int]]:
    return numbers_of(seed, "phrases", tuple(map(len, LISTS)), SIZES | PLAIN, split).tolist()


def rows(seed: int, split: str) -> Generated[dict]:
    """Make one row per pair of sentences, with the column of the hub dataset."""
    numbers = numbers_of(seed, "phrases", tuple(map(len, LISTS)), SIZES, split).tolist()
    return Generated(lambda number: {"translation": _pair(numbers[number])}, SIZES[split])


def _pair(numbers: list[int]) -> dict[str, str]:
    when, who, did, what, where = (options[i] for options, i in zip(LISTS, numbers, strict=True))
    german = f"{when[1]}{did[1]} {who[1]}" if when[1] else f"{who[1]} {did[1]}"
    return {
        "de": fill(f"{german} {what[1]} {where[1]}.", {}),
        "en": fill(f"{when[0]}{who[0]} {did[0]} {what[0]} {where[0]}.", {}),
    }
