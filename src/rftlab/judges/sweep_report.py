"""The table of all comparisons of a sweep: each pair of settings over its seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rftlab.intervals import Estimate, clip, mean
from rftlab.judges.report import verdict

NAMES = ("A", "B", "seeds", "win rate of A", "", "by seed")
LEGEND = "win rate of A, ties counted half, 95 %: over seeds (Student's t), or over prompts where there is one seed"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A comparison of two runs of one seed; its numbers are from the side of A."""

    panel: str
    a: str
    b: str
    seed: int
    report: Mapping[str, Any]


def sweep_lines(judged: Sequence[Judged]) -> list[str]:
    """Say who wins over the seeds, a table for each panel."""
    lines = [LEGEND]
    for panel in dict.fromkeys(each.panel for each in judged):
        here = [each for each in judged if each.panel == panel]
        pairs = dict.fromkeys((each.a, each.b) for each in here)
        rows = [_row([each for each in here if (each.a, each.b) == pair]) for pair in pairs]
        lines += [panel, *_aligned([NAMES, *rows]), *_bias(here), *_left_out(here)]
    return lines


def over_seeds(judged: Sequence[Judged]) -> Estimate:
    """Average the win rates of a pair over its seeds; of one seed the interval is that over its prompts."""
    rates = [each.report["rate"] for each in judged if each.report["rate"]["value"] is not None]
    if len(rates) == 1:
        return Estimate(**{name: rates[0][name] for name in ("value", "low", "high")})
    return clip(mean([rate["value"] for rate in rates]), 0.0, 1.0)


def _row(judged: Sequence[Judged]) -> tuple[str, ...]:
    found, first = over_seeds(judged), judged[0]
    n = sum(each.report["rate"]["value"] is not None for each in judged)
    if not n:
        return first.a, first.b, "0", "unknown", "nothing was judged", ""
    by_seed = ", ".join(f"{each.seed}: {_short(each.report['rate']['value'])}" for each in judged)
    said = f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
    words = verdict({"value": found.value, "low": found.low, "high": found.high})
    return first.a, first.b, str(n), said, words, by_seed


def _short(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _bias(judged: Sequence[Judged]) -> list[str]:
    """Say how far the order decides: the lowest and the highest position bias of the comparisons."""
    known = [each.report["bias"]["value"] for each in judged if each.report["orders"] > 1]
    values = [value for value in known if value is not None]
    if not values:
        return []
    return [
        f"position bias: the response shown first is preferred in {min(values):.3f} to {max(values):.3f}, 0.5 = none"
    ]


def _left_out(judged: Sequence[Judged]) -> list[str]:
    counts = {name: sum(each.report[name] for each in judged) for name in ("left_out", "unreadable", "unanswered")}
    if not counts["left_out"]:
        return []
    return [
        f"left out: {counts['left_out']} prompts of {len(judged)} comparisons ({counts['unreadable']} unreadable "
        f"verdicts, {counts['unanswered']} questions without an answer; neither counts as a tie)"
    ]
