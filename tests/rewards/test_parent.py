"""PARENT: cases done by hand, and the table in the prompt."""

import math

import pytest

from rftlab.errors import UserError
from rftlab.rewards.parent import SMOOTHING, Parent, table_of

NAME = "<cell> Mara Voss <col_header> Name </col_header> </cell>"
TABLE = f"<table> {NAME} <cell> 1987 <row_header> Born </row_header> </cell> </table>"
PROMPT = f"{TABLE}<page_title> Old Mill </page_title> <section_title> Keepers </section_title> {TABLE}"


def score(response: str, *references: str, prompt: str = TABLE, weight: float = 0.5) -> float:
    return float(Parent(table_weight=weight)([prompt], [response], [references])[0])


def test_the_table_is_read_from_the_prompt_each_value_once():
    assert table_of(TABLE) == (("mara", "voss"), ("1987",))
    assert table_of(PROMPT) == (("mara", "voss"), ("1987",), ("old", "mill"), ("keepers",))
    assert table_of("<cell> </cell> <cell> A-1 </cell>") == (("a", "1"),)


@pytest.mark.parametrize("prompt", ["", "What is it?", "<cell> </cell>", "<page_title> Mill </page_title>"])
def test_a_prompt_without_a_table_is_refused(prompt: str):
    with pytest.raises(UserError, match="no table in the prompt"):
        score("a", "a", prompt=prompt)


def test_the_reference_itself_scores_one_if_it_says_all_of_the_table():
    text = "Mara Voss was born in 1987."
    assert score(text, text) == pytest.approx(1.0)
    assert score("Mara Voss was born long ago.", "Mara Voss was born long ago.") == pytest.approx(
        2 * math.sqrt(0.5) / (1 + math.sqrt(0.5))  # one of two values is mentioned: recall sqrt(1 * 1/2)
    )


def test_by_hand():
    # response `mara voss was tall`, reference `mara voss was born`; the table has mara, voss, 1987.
    # precision: words 3/4 right, `tall` in no table: 3/4; pairs 2/3 + 1/3 * 0; threes: 1/2 + 1/2 (voss of three) / 3;
    # fours: the share of mara, voss in four words: 1/2
    precision = (3 / 4 * 2 / 3 * (1 / 2 + 1 / 6) * 1 / 2) ** (1 / 4)
    # recall weighs by shares: words mara, voss both found: 1; pairs (1 + 1/2 + 0): found both: 1;
    # threes: mara voss was 2/3, voss was born 1/3: 2/3 found; fours: none found
    of_reference = (1 * 1 * 2 / 3 * SMOOTHING) ** (1 / 4)
    recall = math.sqrt(of_reference * 1 / 2)
    expected = 2 * precision * recall / (precision + recall)
    assert score("mara voss was tall", "mara voss was born") == pytest.approx(expected)


def test_what_the_table_says_counts_though_the_reference_does_not():
    reference = "Mara Voss was a keeper here"
    assert score("Mara Voss was born 1987", reference) > score("Mara Voss was born 1988", reference)


def test_weight_of_the_table():
    response, reference = "Mara Voss 1987 x", "y z w v"  # n-grams of the reference have no weight: its recall is 1
    precision = ((3 / 4) * (5 / 2 / 3) * ((1 + 2 / 3) / 2) * (3 / 4)) ** (1 / 4)
    for weight in (0.0, 0.5, 1.0):
        assert score(response, reference, weight=weight) == pytest.approx(2 * precision / (1 + precision))
    assert score("a b c d", reference, weight=0.5) == 0.0


def test_the_best_reference_counts_and_empty_texts_score_zero():
    text = "Mara Voss was born in 1987"
    assert score(text, "something else", text) == score(text, text)
    assert score("", text) == score(text, " ") == 0.0
    with pytest.raises(UserError, match="no reference"):
        score(text)
