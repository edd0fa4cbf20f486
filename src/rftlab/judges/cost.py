"""What a comparison will cost, from the config of its judge alone: nothing is loaded and nothing is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rftlab.judges.question import Question, tokens_of
from rftlab.judges.wording import worded

ANSWER = ("max_new_tokens", "max_completion_tokens", "max_tokens")  # keys that limit an answer


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Calls and tokens: an estimate of those of the questions, and the most that answers can have."""

    calls: int
    tokens_in: int
    tokens_out: int | None  # None where no key limits an answer
    price: float | None  # in the currency of the prices; None = unknown


def cost_of(judge: Mapping[str, Any], questions: Sequence[Question]) -> Cost | None:
    """Count what questions cost a judge that is asked in words; None of one that is not."""
    if "template" not in judge:
        return None
    asked = (worded(judge["template"], judge["reference"], question) for question in questions)
    limits = [{**judge, **judge.get("request", {})}.get(name) for name in ANSWER]
    most = next((int(limit) for limit in limits if limit is not None), None)
    tokens_in, tokens_out = sum(map(tokens_of, asked)), None if most is None else most * len(questions)
    return Cost(
        calls=len(questions), tokens_in=tokens_in, tokens_out=tokens_out, price=price_of(judge, tokens_in, tokens_out)
    )


def total_of(costs: Sequence[Cost | None]) -> Cost | None:
    """Add the costs of several comparisons by one judge; None of one that is not asked in words."""
    known = [cost for cost in costs if cost is not None]
    if not known:
        return None
    tokens_out = [cost.tokens_out for cost in known]
    prices = [cost.price for cost in known]
    return Cost(
        calls=sum(cost.calls for cost in known),
        tokens_in=sum(cost.tokens_in for cost in known),
        tokens_out=None if None in tokens_out else sum(filter(None, tokens_out)),
        price=None if None in prices else sum(filter(None, prices)),
    )


def price_of(judge: Mapping[str, Any], tokens_in: int | None, tokens_out: int | None) -> float | None:
    """Give the price of tokens; 0 of a judge of this machine, None where a price or a number is not known."""
    if "price_input" not in judge:
        return 0.0
    prices = (judge["price_input"], judge["price_output"])
    if None in (*prices, tokens_in, tokens_out):
        return None
    return (tokens_in * prices[0] + tokens_out * prices[1]) / 1e6
