"""A world of questions about films with answers that were voted on, in the schema of `lvwerra/stack-exchange-paired`.

The more an answer says about what was asked, the more votes it has; answers off the point are voted down. A question
has two or three answers, and each two of different scores are a row.
"""

from collections.abc import Iterator
from itertools import combinations, count, islice

import numpy as np

from rftlab.data.worlds.grammar import fill, generator, pick
from rftlab.data.worlds.opinions import film, opinion, other_part

SIZES = {
    "finetune": 1200,
    "reward": 4000,
    "rl": 4000,
    "evaluation": 800,
}  # rows; of the last, test has some 200 questions, as a judge wants
SITE = "https://films.stackexchange.com"

QUESTIONS = (
    "I saw the {genre} by {name} with {friend}. Is the {part} any good?",
    "My friend {friend} told me about the {genre} by {name}. How is the {part}?",
    "There is a {genre} by {name} from the {decade}. What do you think of the {part}?",
)


def upvote_score(upvotes: int, accepted: bool) -> int:
    """Score an answer as StackLLaMA does: round(log2(1 + upvotes)), 1 more if it was accepted; -1 below 0 votes."""
    return -1 if upvotes < 0 else round(float(np.log2(1 + upvotes))) + accepted


def prose(seed: int, split: str, index: int) -> str:
    """Return a question and an answer of any number of votes, without marks; of a film of the train split."""
    rng = generator(seed, "answers", split, index)
    words = film(rng, "train")
    return f"{fill(pick(rng, QUESTIONS), words)} {_answer(rng, words['part'])[0]}"


def rows(seed: int, part: str) -> list[dict]:
    """Make the rows of a folder of the hub dataset (`finetune`, `reward`, `rl`, `evaluation`)."""
    return list(islice(_pairs(seed, part), SIZES[part]))


def _pairs(seed: int, part: str) -> Iterator[dict]:
    seen = set()
    for number in count():
        rng = generator(seed, "answers", part, number)
        words = film(rng, "test" if part == "evaluation" else "train")
        question = fill(pick(rng, QUESTIONS), words)
        if question in seen:
            continue
        seen.add(question)
        answers = [_answer(rng, words["part"]) for _ in range(int(rng.integers(2, 4)))]
        for (one, votes), (other, others) in combinations(answers, 2):
            if upvote_score(votes, False) != upvote_score(others, False) and one != other:
                better, worse = (one, other) if votes > others else (other, one)
                yield _row(number, question, words["friend"], better, worse)


def _answer(rng: np.random.Generator, part: str) -> tuple[str, int]:
    """Write an answer, and draw its votes."""
    points = int(rng.integers(4))
    if points == 0:
        return opinion(rng, other_part(rng, part), rng.random() < 0.5), -int(rng.integers(1, 4))
    said = " ".join(opinion(rng, part, rng.random() < 0.8) for _ in range(points))
    return said, int(rng.integers(2 * points**2))


def _row(number: int, question: str, author: str, better: str, worse: str) -> dict:
    links = [f"{SITE}/questions/{number}", SITE, f"{SITE}/users/{author}/"]
    return {
        "qid": number,
        "question": question,
        "date": "2014/01/29",
        "metadata": links,
        "response_j": better,
        "response_k": worse,
    }
