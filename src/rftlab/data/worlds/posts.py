"""A world of posts about films with summaries, in the schemas of `CarperAI/openai_summarize_tldr` and `_comparisons`.

A post says three things about a film and asks for advice. A good summary says two of them; a worse one says one of
them, something about another part, or nothing, and in most cases goes on about another part.
"""

import numpy as np

from rftlab.data.worlds.grammar import fill, generator, pick, pick_many
from rftlab.data.worlds.opinions import film, opinion, other_part
from rftlab.data.worlds.reviews import PARTS

SIZES = {"train": 5000, "valid": 500, "test": 500}  # of posts with a summary
COMPARED = {"train": 5000, "valid1": 500, "valid2": 500, "test": 500}
MARK = "TL;DR:"

TITLES = ("A {genre} by {name} with {friend}", "Should I see this {genre} again?", "The {part} of a {genre} by {name}")
CLOSINGS = ("Should I see it with {friend} again?", "What would you tell {friend}?", "{friend} thinks that I am wrong.")
PADDED = 0.6  # share of worse summaries with a sentence more, so that length tells little
NOTHING = ("I saw a film.", "A {genre} from the {decade}.", "I want advice about {friend}.")


def prose(seed: int, split: str, index: int) -> str:
    """Return what a post says, without its title and marks; it is about a film of the train split."""
    return _post(generator(seed, "post", split, index), "train")[0].partition("POST: ")[2]


def rows(seed: int, split: str) -> list[dict]:
    """Make one row per post with its summary, with the columns of `openai_summarize_tldr`."""
    made = (_post(generator(seed, "post", split, index), split) for index in range(SIZES[split]))
    return [{"prompt": f"{post}\n{MARK}", "label": " ".join(said)} for post, said, _ in made]


def comparisons(seed: int, split: str) -> list[dict]:
    """Make one row per pair of summaries, with the columns of `openai_summarize_comparisons`."""
    return [_compared(generator(seed, "compared posts", split, index), split) for index in range(COMPARED[split])]


def _post(rng: np.random.Generator, split: str) -> tuple[str, list[str], dict[str, str]]:
    """Make a post, the sentences of its summary, and the words that it is about."""
    words = film(rng, split)
    moods = [bool(rng.integers(2)) for _ in range(3)]
    parts = [words["part"], *pick_many(rng, [other for other in PARTS if other != words["part"]], 2)]
    said = [opinion(rng, part, mood) for part, mood in zip(parts, moods, strict=True)]
    body = " ".join(
        [fill("I saw the {genre} by {name} with {friend}.", words), *said, fill(pick(rng, CLOSINGS), words)]
    )
    post = f"SUBREDDIT: r/movies\nTITLE: {fill(pick(rng, TITLES), words)}\nPOST: {body}"
    return post, said[:2], words


def _compared(rng: np.random.Generator, split: str) -> dict:
    post, said, words = _post(rng, split)
    way = rng.random()
    if way < 0.5:
        worse = fill(pick(rng, NOTHING), words)
    elif way < 0.75:
        worse = opinion(rng, other_part(rng, words["part"]), bool(rng.integers(2)))
    else:
        worse = said[1]
    if rng.random() < PADDED:
        worse = f"{worse} {opinion(rng, other_part(rng, words['part']), bool(rng.integers(2)))}"
    better, other = f"{MARK}  {' '.join(said)}", f"{MARK}  {worse}"
    chosen, rejected = (other, better) if rng.random() < 0.08 else (better, other)
    return {"prompt": post, "chosen": chosen, "rejected": rejected}
