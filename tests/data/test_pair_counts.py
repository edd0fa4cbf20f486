"""What is counted among preference pairs, what is dropped, and what scored responses are made of the rest."""

import logging

import pytest

from rftlab.data.parts.pairs import Drop, TextPair, count, scored

KEEP_ALL = Drop(identical=False, contradicting=False, empty=False)


def pair(chosen: str, rejected: str, prompt: str = "p") -> TextPair:
    return TextPair(prompt=prompt, chosen=chosen, rejected=rejected)


PAIRS = [
    pair("a", "b"),
    pair("b", "a"),
    pair("a", "b"),
    pair("c", "c"),
    pair("d", ""),
    pair(" \n", "e"),
    pair("b", "a", prompt="other"),  # contradicts nothing: it is about another prompt
]


def test_repeated_identical_contradicting_and_empty_pairs_are_counted() -> None:
    found = count(PAIRS, KEEP_ALL)
    assert (found.pairs, found.repeated, found.identical, found.contradicting, found.empty) == (7, 1, 1, 1, 2)
    assert found.dropped == 0


@pytest.mark.parametrize(
    ("key", "left"), [("identical", [0, 1, 2, 4, 5, 6]), ("contradicting", [3, 4, 5, 6]), ("empty", [0, 1, 2, 3, 6])]
)
def test_pairs_are_dropped_by_their_key_alone(key: str, left: list[int], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="rftlab")
    drop = Drop(**{name: name == key for name in ("identical", "contradicting", "empty")})
    made = scored(PAIRS, "train", drop)
    assert [row.example.id for row in made[::2]] == [f"train-pair-{number}" for number in left]
    (line,) = caplog.messages
    assert line == (
        "pairs of split 'train': 7; 1 repeated, 1 of identical replies, 1 in both orders, 2 with an empty reply; "
        f"{7 - len(left)} dropped by data.loader.drop_pairs"
    )


def test_a_pair_is_a_reply_that_scores_one_and_one_that_scores_zero_of_an_example_of_its_own() -> None:
    made = scored(PAIRS[:2], "train", KEEP_ALL)
    assert [(row.response, row.score) for row in made] == [("a", 1.0), ("b", 0.0), ("b", 1.0), ("a", 0.0)]
    assert made[0].example == made[1].example != made[2].example
    assert (made[0].example.prompt, made[0].example.targets) == ("p", ("a",))
