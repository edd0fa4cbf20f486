"""Scored responses over letters: as a finished run would have sampled and scored them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from toy import LETTERS, MAX_NEW, ids_of, splits

from rftlab.loops.lab import Lab
from rftlab.types import Example, ScoredResponse

WORDS = ["".join(letters) for n in (1, 2, 3) for letters in product(LETTERS[:3], repeat=n)]


def planted(text: str) -> float:
    """Score a word by its letters: a is good, b is nothing, c is bad."""
    return float(text.count("a") - text.count("c"))


def scored(example: Example, text: str, score: float | None = None) -> ScoredResponse:
    """Make a response with the ids of its letters and EOS."""
    ids = tuple(ids_of(text, MAX_NEW))
    return ScoredResponse(
        example=example, response=text, response_ids=ids, score=planted(text) if score is None else score
    )


def responses_to(examples: Sequence[Example], each: int = 4, first: int = 0) -> list[ScoredResponse]:
    """Answer every prompt with some of the words."""
    found = []
    for number, example in enumerate(examples):
        places = [(7 * number + 5 * k + first) % len(WORDS) for k in range(each)]
        found += [scored(example, WORDS[place]) for place in places]
    return found


def with_responses(lab: Lab, each: int = 4) -> Lab:
    """Give the task of a lab scored responses to its prompts."""
    data = splits()
    known = {"train": responses_to(data.train, each), "validation": responses_to(data.validation, each, first=3)}
    return replace(lab, task=replace(lab.task, responses=known))
