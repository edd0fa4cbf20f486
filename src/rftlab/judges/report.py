"""The numbers of a comparison, and the table in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rftlab.diagnostics.win_rate import NEITHER, Shown, win_rate
from rftlab.judges.cost import Cost, price_of

VALUES = {"tie": 0.5}


def asked_of(verdict: Mapping[str, Any]) -> tuple[str, str]:
    """Return the question that a stored verdict answers: the place of its prompt, and the run that was shown first."""
    return verdict["place"], verdict["first"]


def measured(
    verdicts: Sequence[Mapping[str, Any]],
    *,
    run: str,
    other: str,
    prompts: int,
    questions: int,
    orders: int,
    resamples: int,
    seed: int,
    judge: Mapping[str, Any],
) -> dict[str, Any]:
    """Measure stored verdicts from the side of `run`; of a question that is stored twice the last verdict counts.

    An unreadable verdict is no tie: its prompt is left out, as one that is not judged in both orders.
    """
    last = {asked_of(verdict): verdict for verdict in verdicts}
    shown: dict[str, list[Shown]] = {place: [] for place, _ in last}
    unreadable = 0
    for (place, first), verdict in last.items():
        if verdict["preferred"] is None:
            unreadable += 1
            continue
        value = VALUES.get(verdict["preferred"], float(verdict["preferred"] == run))
        shown[place].append(Shown(value=value, shown_first=first == run))
    identical = prompts - questions // orders
    found = win_rate(shown, identical, orders, resamples, seed)
    unseen = questions // orders - len(shown)  # prompts without any verdict
    tokens = {name: _total(last.values(), name) for name in ("tokens_in", "tokens_out")}
    return {
        "run": run,
        "other": other,
        "prompts": prompts,
        "identical": identical,
        "questions": questions,
        "unreadable": unreadable,
        "unanswered": questions - len(last),
        **_plain(asdict(found)),
        "left_out": found.left_out + unseen,
        "orders": orders,
        **tokens,
        "price": _finite(price_of(judge, tokens["tokens_in"], tokens["tokens_out"])) if "template" in judge else None,
    }


def _total(verdicts: Any, name: str) -> int | None:
    """Add what was counted; None where something was not."""
    counts = [verdict[name] for verdict in verdicts]
    return None if None in counts else sum(counts)


def _plain(value: Any) -> Any:
    """Write NaN as null, which JSON can hold."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return _finite(value)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- words --------------------------------------------------------------------------------------------------------


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """Say what was found, A being the run whose side the report takes."""
    judged = report["won"] + report["tied"] + report["lost"]
    lines = [
        f"A wins {report['won']} prompts, B wins {report['lost']}, ties {report['tied']}"
        f"{_of_which(report['identical'])}: {judged} of {report['prompts']}",
        f"win rate of A, ties counted half: {_said(report['rate'])}: {verdict(report['rate'])}",
    ]
    if report["orders"] == 1:
        lines.append("position bias: none, as this judge reads one response at a time")
    else:
        agreed = (
            "" if report["agreed"] is None else f"; both orders agree on {100 * report['agreed']:.0f} % of the prompts"
        )
        lines.append(
            f"position bias: the response shown first is preferred in {_said(report['bias'])}, 0.5 = none{agreed}"
        )
    if report["left_out"]:
        lines.append(
            f"left out: {report['left_out']} prompts ({report['unreadable']} unreadable verdicts, "
            f"{report['unanswered']} questions without an answer; neither counts as a tie)"
        )
    if report["tokens_in"] is not None and report["tokens_out"] is not None:
        lines.append(f"tokens read {report['tokens_in']:,}, written {report['tokens_out']:,}{_priced(report['price'])}")
    elif report["orders"] > 1:
        lines.append("tokens: not counted by the judge for every verdict, so the price is not known")
    return lines


def verdict(rate: Mapping[str, Any]) -> str:
    """Say which policy is better, as far as the interval says so."""
    if rate["value"] is None:
        return "nothing was judged"
    if rate["low"] > NEITHER:
        return "A is better"
    return "B is better" if rate["high"] < NEITHER else "undecided"


def cost_lines(judge: Mapping[str, Any], cost: Cost | None) -> list[str]:
    """Say what questions will cost."""
    if cost is None:
        return ["this judge is a reward model of this machine: nothing is sent, and there is no price"]
    most = "an unknown number" if cost.tokens_out is None else f"at most {cost.tokens_out:,}"
    words = f"{cost.calls:,} calls, about {cost.tokens_in:,} tokens to read and {most} to write"
    if "price_input" not in judge:
        return [f"{words}, on this machine"]
    if cost.price is None:
        return [f"{words}; price unknown (judge.price_input and judge.price_output, per million tokens)"]
    return [f"{words}{_priced(cost.price)}"]


def _said(estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return "unknown"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def _of_which(identical: int) -> str:
    return f" ({identical} of them identical responses, not asked)" if identical else ""


def _priced(price: float | None) -> str:
    return f", price {price:,.4f}" if price else ""
