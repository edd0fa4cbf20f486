"""A world of dialogues about films, in the schemas of `Dahoas/rm-static` and `Anthropic/hh-rlhf`.

A human asks for something good about a part of a film. The better reply says it; the worse one blames that part, speaks
of another one, or says nothing. In a few pairs the two are the other way round, as people disagree.
"""

import numpy as np

from rftlab.data.worlds.grammar import fill, generator, pick
from rftlab.data.worlds.opinions import film, opinion, other_part

SIZES = {"train": 6000, "test": 600}
DISAGREEMENT = 0.08  # probability that the worse reply is called the better one
LONGER = 0.3  # probability that the dialogue has had a turn before

REQUESTS = (
    "What is good about the {part} of the {genre} by {name}?",
    "Why did {friend} like the {part} of this {genre} by {name}?",
    "I saw the {genre} by {name} from the {decade}. What was good about the {part}?",
    "Please tell me something nice about the {part} in the {genre} by {name}.",
)
EARLIER = ("Do you know the {genre} by {name}?", "Yes. It came out in the {decade}.")
EMPTY = ("I do not know.", "The film is two hours long.", "It is set in the {decade}.", "Nobody told me about it.")


def exchange(seed: int, split: str, index: int) -> tuple[str, str, str]:
    """Make a dialogue up to its last "Assistant:", the better reply and the worse one, each with a space in front."""
    rng = generator(seed, "dialogue", split, index)
    words = film(rng, split)
    turns = [fill(pick(rng, REQUESTS), words)]
    if rng.random() < LONGER:
        turns = [fill(text, words) for text in EARLIER] + turns
    prompt = "".join(f"\n\n{'Assistant' if place % 2 else 'Human'}: {text}" for place, text in enumerate(turns))
    good, bad = _helpful(rng, words["part"]), _unhelpful(rng, words)
    chosen, rejected = (bad, good) if rng.random() < DISAGREEMENT else (good, bad)
    return f"{prompt}\n\nAssistant:", f" {chosen}", f" {rejected}"


def _helpful(rng: np.random.Generator, part: str) -> str:
    return " ".join(opinion(rng, part, True) for _ in range(int(rng.integers(1, 3))))


def _unhelpful(rng: np.random.Generator, words: dict[str, str]) -> str:
    way = rng.random()
    if way < 0.5:
        return " ".join(opinion(rng, words["part"], False) for _ in range(int(rng.integers(1, 3))))
    if way < 0.75:
        return opinion(rng, other_part(rng, words["part"]), rng.random() < 0.5)
    return fill(pick(rng, EMPTY), words)


def prose(seed: int, split: str, index: int) -> str:
    """Return what the human asks and a reply, the worse one as often, without marks; of a film of the train split."""
    rng = generator(seed, "dialogue", split, index)
    words = film(rng, "train")
    reply = _helpful(rng, words["part"]) if rng.random() < 0.5 else _unhelpful(rng, words)
    return f"{fill(pick(rng, REQUESTS), words)} {reply}"


def rows(seed: int, split: str) -> list[dict]:
    """Make one row per pair, with the columns of `Dahoas/rm-static`."""
    return [_row(*exchange(seed, split, index)) for index in range(SIZES[split])]


def whole(seed: int, split: str) -> list[dict]:
    """Make the same pairs as whole dialogues, with the columns of `Anthropic/hh-rlhf`."""
    return [_whole(*exchange(seed, split, index)) for index in range(SIZES[split])]


def _row(prompt: str, chosen: str, rejected: str) -> dict:
    return {"prompt": prompt, "response": chosen, "chosen": chosen, "rejected": rejected}


def _whole(prompt: str, chosen: str, rejected: str) -> dict:
    return {"chosen": prompt + chosen, "rejected": prompt + rejected}
