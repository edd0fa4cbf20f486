"""The question as a language model reads it, and the verdict in what it answers."""

import re
from collections.abc import Mapping

from rftlab.errors import UserError
from rftlab.judges.question import Choice, Question

FIELDS = ("prompt", "first", "second", "reference")
_FIELD = re.compile(rf"\{{({'|'.join(FIELDS)})\}}")
_SAID: Mapping[str, Choice] = {"a": "first", "b": "second", "tie": "tie", "a tie": "tie"}
_WORD = r"[\s*_`\"'(\[{]*(a[ ]tie|a|b|tie)[*_`\"')\]}.!]*[^\S\n]*"
_LABELLED = re.compile(rf"\bverdict\b[\s*_`\"']*[:=]{_WORD}$", re.IGNORECASE | re.MULTILINE)
_ALONE = re.compile(rf"{_WORD}\s*", re.IGNORECASE)


def worded(template: str, reference: str | None, question: Question) -> str:
    """Write a question; what stands in braces in a prompt or a response is text like any other.

    Args:
        template: With `{prompt}`, `{first}`, `{second}`, and `{reference}` where the passage on it goes.
        reference: That passage, with `{reference}` for a gold text; None = the judge sees none.
        question: What to fill in.
    """
    gold = question.reference or ""
    passage = "" if reference is None else _FIELD.sub(lambda field: gold, reference)
    values = {"prompt": question.prompt, "first": question.first, "second": question.second, "reference": passage}
    return _FIELD.sub(lambda field: values[field.group(1)], template)


def read_verdict(text: str) -> Choice:
    """Read `Verdict: A`, `Verdict: B` or `Verdict: tie`, or such a word alone; other lines are passed over.

    Nothing may follow it on its line. A text with several that differ, or with none, is unreadable: no guess becomes a
    verdict.
    """
    found = {word.lower() for word in _LABELLED.findall(text)}
    if not found and (alone := _ALONE.fullmatch(text)):
        found = {alone.group(1).lower()}
    return _SAID[found.pop()] if len(found) == 1 else "unreadable"


def check_wording(template: str, reference: str | None) -> None:
    """Refuse a question that lacks what it is about.

    Raises:
        UserError: A field is missing.
    """
    wanted = ("prompt", "first", "second", *(() if reference is None else ("reference",)))
    if absent := [f"{{{name}}}" for name in wanted if f"{{{name}}}" not in template]:
        raise UserError(f"judge.template without {', '.join(absent)}", "a text with these fields", "judge.template")
    if reference is not None and "{reference}" not in reference:
        expected = "a text with that field, or null"
        raise UserError("judge.reference without {reference}", expected, "judge.reference")
