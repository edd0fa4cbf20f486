"""The papers' values beside ours: equal unless a reason is given, different where one is; the page is up to date."""

from dataclasses import replace

import pytest

from rftlab.commands import papers
from rftlab.commands.papers import ABSENT, Fact, Row, Setting, rows, value_of
from rftlab.config.options import kind_of_data, of_group, options

Pairs = list[tuple[Setting, list[Row]]]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return list(papers.compared())


def test_every_value_is_the_published_one_or_says_why_not(pairs: Pairs) -> None:
    wrong = {
        setting.title: {row.fact.key for row in found if row.verdict == papers.MISMATCH} for setting, found in pairs
    }
    assert {title: keys for title, keys in wrong.items() if keys} == {}


def test_the_page_is_what_the_command_writes_today(pairs: Pairs) -> None:
    assert papers.TABLE.read_text() == papers.page(pairs)


def test_the_page_has_every_published_experiment(pairs: Pairs) -> None:
    commands = [set(setting.command.split()) for setting, _ in pairs]
    named = {word.removeprefix("experiment=") for words in commands for word in words if "experiment=" in word}
    reduced = {
        name for name in options("experiment") if name.endswith("_two_cores")
    }  # less than a paper, by their names
    at_any_scale = {"vanishing_gradients/released_code"}
    theory = {name for name in options("experiment") if name.startswith("theory/")}  # computed, with values of our own
    assert named == set(options("experiment")) - reduced - at_any_scale - theory
    for data, content in of_group("data").items():
        if content.get("scales", {}).get("paper") and kind_of_data(content) in ("text", "labels"):
            assert any({"scale=paper", f"data={data}", "algo=sft"} <= words for words in commands), data


def setting_of(*facts: Fact) -> Setting:
    return Setting(title="", command="", facts=facts)


FACT = Fact(key="optimizer.lr", there=1e-6, source="")
CONFIG = {"optimizer": {"lr": 1e-6, "tied": None}, "loop": {"n": 100, "epochs": 5, "rows": 2560, "part": 64}}


def test_a_difference_without_a_reason_and_a_reason_without_a_difference_are_mistakes() -> None:
    other = replace(FACT, there=2e-6)
    found = rows(setting_of(FACT, other, replace(other, why="ours"), replace(FACT, why="ours")), CONFIG)
    assert [row.verdict for row in found] == ["same", papers.MISMATCH, "ours", papers.MISMATCH]


def test_words_without_a_key_are_the_same_unless_they_say_why_not() -> None:
    words = Fact(key="prompt", there="first half", here="first half", source="")
    (same, differs) = rows(setting_of(words, replace(words, here="second half", why="ours")), CONFIG)
    assert (same.verdict, differs.verdict) == ("same", "ours")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loop.n", 100),
        ("loop.n * loop.epochs * (loop.rows // loop.part)", 20_000),
        ("loop.n + 1", 101),
        ("optimizer.tied", None),
        ("optimizer.tied * 2", ABSENT),
        ("optimizer.momentum", ABSENT),
        ("optimizer.lr.factor", ABSENT),
        ("rftlab.data.mnist.FORMAT.mean", [0.1307]),
    ],
)
def test_a_value_is_a_key_a_constant_or_computed_from_them(key: str, value: object) -> None:
    assert value_of(key, CONFIG) == value


def test_what_is_no_key_sum_or_product_is_refused() -> None:
    with pytest.raises(ValueError, match="no key"):
        value_of("print(1)", CONFIG)


@pytest.mark.parametrize(
    ("value", "text"),
    [(20_000, "20,000"), (2e-6, "2e-6"), (1.0, "1"), (None, "null"), (True, "true"), ([5, 0.1], "5, 0.1")],
)
def test_values_are_written_for_readers(value: object, text: str) -> None:
    assert papers.shown(value) == text
