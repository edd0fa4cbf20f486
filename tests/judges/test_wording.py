"""Questions in words, and verdicts read from words."""

import pytest

from rftlab.errors import UserError
from rftlab.judges.cost import cost_of
from rftlab.judges.question import Question
from rftlab.judges.wording import check_wording, read_verdict, worded

QUESTION = Question(
    place="p", prompt="{first}?", first="{second}", second="{x} {prompt}", reference="{prompt}", swapped=False
)
READ = {
    "Verdict: A": "first", "verdict:b": "second", "Verdict: tie": "tie", "**Verdict:** B": "second",
    "Both help. The second is longer.\nVerdict: [[A]]": "first", "Verdict: \"B\".": "second", "A": "first",
    " b. ": "second", "**tie**": "tie", "Verdict: A\nVerdict: A": "first", "Verdict: a tie": "tie",
    "VERDICT = A": "first",
    "Verdict: A\r\n": "first",
    "": "unreadable", "C": "unreadable", "Verdict: C": "unreadable", "Verdict: A or B": "unreadable",
    "Verdict: A, B or tie": "unreadable", "Verdict: A\nVerdict: tie": "unreadable", "A is better": "unreadable",
    "Verdict: Apple": "unreadable", "Verdict: a better reply": "unreadable", "My verdict is A": "unreadable",
    "Verdict:": "unreadable", "A B": "unreadable",
}  # fmt: skip


@pytest.mark.parametrize(("text", "choice"), READ.items())
def test_only_what_is_clear_is_a_verdict(text: str, choice: str) -> None:
    assert read_verdict(text) == choice


def test_what_stands_in_braces_in_a_text_is_text() -> None:
    template = "{prompt}|{first}|{second}|{reference}|{other}"
    assert worded(template, None, QUESTION) == "{first}?|{second}|{x} {prompt}||{other}"
    assert worded(template, "gold: {reference}", QUESTION) == "{first}?|{second}|{x} {prompt}|gold: {prompt}|{other}"


@pytest.mark.parametrize(
    ("template", "reference"),
    [
        ("{prompt}{first}", None),
        ("{prompt}{first}{second}", "g {reference}"),
        ("{prompt}{first}{second}{reference}", "g"),
    ],
)
def test_a_question_without_what_it_is_about_is_refused(template: str, reference: str | None) -> None:
    with pytest.raises(UserError, match=r"judge\.(template|reference)"):
        check_wording(template, reference)


def test_calls_tokens_and_price_are_counted_by_hand() -> None:
    judge = {"template": "{prompt}{first}{second}", "reference": None, "price_input": 2.0, "price_output": 10.0}
    texts = {"prompt": "1234", "first": "123", "second": "12", "reference": None, "swapped": False}
    asked = [Question(place=str(i), **texts) for i in range(4)]  # 9 characters: 3 tokens
    cost = cost_of(judge | {"request": {"max_tokens": 5, "max_completion_tokens": None}}, asked)
    assert cost is not None and (cost.calls, cost.tokens_in, cost.tokens_out) == (4, 12, 20)
    assert cost.price == pytest.approx((12 * 2 + 20 * 10) / 1e6)
    unknown = cost_of(judge | {"price_output": None, "request": {}}, asked)
    assert unknown is not None and unknown.tokens_out is None and unknown.price is None
    assert cost_of({"run": "x"}, asked) is None
