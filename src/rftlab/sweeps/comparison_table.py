"""A comparison for people and scripts: in words, as a table of text, and as numbers."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rftlab import clock
from rftlab.intervals import Difference, Estimate
from rftlab.runs.axes import spelled
from rftlab.sweeps.comparison import UNFINISHED, Cell, Comparison, Row

NONE = "-"
NAMED = 3  # cells or keys in a sentence
NEGATIVE = -1.0  # nats per response, which noise around 0 does not reach
FEW = 5  # seeds under which an interval rests on its assumption
STYLES = {"best": "bold green", "highest": "bold", "lowest": "bold", "not told apart": "yellow"}
LATEX = str.maketrans(
    {c: rf"\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)
MIDDLE = (
    "Interquartile mean (of the middle half of all runs) with its 95 % interval (bootstrap of the seeds within each "
    "setting that is averaged over; Agarwal et al. 2021). To best: the difference to the first row, with the same "
    "draws where two or more seeds are shared. KL: to the run's start, nats per response."
)
LEGEND = (
    "Mean over seeds with its 95 % interval (Student's t). To best: the difference to the first row, over shared seeds "
    "where there are two or more, else of the two means (Welch). KL: to the run's start, nats per response."
)


# --- in words -------------------------------------------------------------------------------------------------------


def sentences(comparison: Comparison) -> list[str]:
    """Say what the comparison answers, how sure that is, and what it could not count."""
    return [answer(comparison), *_cautions(comparison), *_left_out(comparison)]


def answer(comparison: Comparison) -> str:
    """Say in one sentence which cell is the best, or from which the first is not told apart."""
    first, *others = comparison.with_number or (None,)
    if first is None:
        return f"No finished run has a finite {comparison.y}."
    told = f"{_named(first.cell)} ({comparison.y} {_over_seeds(first.cell)})"
    if not others:
        return f"One setting has numbers, so there is nothing to compare it with: {told}."
    close = [row for row in others if row.open]
    if not close:
        word = "higher" if comparison.lower else "lower"
        return f"Best: {told}; next is {_named(others[0].cell)}, {word} by {_apart(others[0])}."
    which = "all others" if len(close) == len(others) > NAMED else _list([_named(row.cell) for row in close])
    end = "Lowest" if comparison.lower else "Highest"
    return f"{end}: {told}, but not told apart from {which}: {_why(first.cell, close)}."


def _why(first: Cell, close: Sequence[Row]) -> str:
    bounded = [row for row in close if row.to_best is not None and row.to_best.estimate.bounded]
    if not bounded:
        one = "one seed has no interval" if len(first.values) == 1 else "their one seed has no interval"
        return f"{one}; more seeds would tell"
    if len(bounded) == 1:
        name = "" if len(close) == 1 else f"{_named(bounded[0].cell)} is "
        return f"{name}off by {_apart(bounded[0])}"
    return "the 95 % intervals of their differences hold 0"


def _cautions(comparison: Comparison) -> list[str]:
    said, counts = [], sorted({len(row.cell.values) for row in comparison.with_number})
    if counts and 1 < counts[0] < FEW:
        said.append(_few(comparison, _span(counts)))
    if counts and counts[0] == 1 < counts[-1]:
        said.append("A setting with one seed has no interval.")
    if (pairs := len(comparison.with_number) - 1) > 1:
        said.append(f"Each interval is of one pair; none is corrected for {pairs} comparisons.")
    if comparison.also:
        said.append(f"These change along with the settings of a row: {', '.join(comparison.also)}.")
    if comparison.pooled:
        said.append(f"A seed's number is its mean over {', '.join(comparison.pooled)}.")
    if any(row.cell.kl < NEGATIVE for row in comparison.rows):
        said.append("A KL far below 0 is none: tokens are drawn by another policy than the one that is scored.")
    if any(row.cell.unfinished["diverged"] for row in comparison.rows):
        said.append("A mean is of runs that came through: diverged ones would have made it worse.")
    return said


def _few(comparison: Comparison, seeds: str) -> str:
    if comparison.middle:
        return f"A bootstrap of {seeds} seeds knows no other value: the interval is too narrow, and a mean is safer."
    return f"With {seeds} seeds an interval is wide, and rests on rewards that scatter normally."


def _left_out(comparison: Comparison) -> list[str]:
    counts = {kind: sum(row.cell.unfinished[kind] for row in comparison.rows) for kind in UNFINISHED}
    counted = sum(len(row.cell.keys) for row in comparison.rows)
    told = [f"{counts[kind]} {kind}" for kind in UNFINISHED if kind != "pruned" or counts[kind]]  # by a search alone
    said = [f"{_runs(counted)} counted, {', '.join(told)}."]
    if comparison.parents:
        said.append(f"Not compared: {_runs(comparison.parents)} that others learn from.")
    if comparison.silent:
        said.append(f"Not compared: {_runs(comparison.silent)} that ended without {comparison.y}.")
    return said


def _named(cell: Cell) -> str:
    words = [f"{key}={spelled(value)}" for key, value in cell.settings.items() if value is not None]
    return " ".join(words or [f"without {key}" for key in cell.settings]) or "the only setting"


def _over_seeds(cell: Cell) -> str:
    n = len(cell.values)
    return f"{in_brackets(cell.mean)}, {n} seed{'' if n == 1 else 's'}"


def _apart(row: Row) -> str:
    assert row.to_best is not None
    found = row.to_best.estimate
    ends = sorted((abs(found.low), abs(found.high))) if row.to_best.told_apart else (found.low, found.high)
    value = abs(found.value) if row.to_best.told_apart else found.value
    form = ".3f" if row.to_best.told_apart else "+.3f"
    return f"{in_brackets(Estimate(value, *ends), form)} ({paired(row.to_best)})"


def paired(apart: Difference) -> str:
    """Say what a difference is of."""
    return f"paired, {apart.n_paired} seeds" if apart.n_paired else "not paired"


def _list(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return "; ".join(names[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def _span(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


# --- tables ---------------------------------------------------------------------------------------------------------


def in_brackets(estimate: Estimate, form: str = ".3f") -> str:
    """Write a number with its interval, where there is one."""
    if math.isnan(estimate.value):
        return NONE
    ends = f" [{estimate.low:{form}}, {estimate.high:{form}}]" if estimate.bounded else ""
    return f"{estimate.value:{form}}{ends}"


def verdict(comparison: Comparison, row: Row) -> str:
    """Say in a word or two where a row stands."""
    if not row.cell.values:
        return "no number"
    if row.to_best is None:
        return "best" if comparison.decided else ("lowest" if comparison.lower else "highest")
    return "not told apart" if row.open else ("higher" if comparison.lower else "lower")


def texts(comparison: Comparison) -> list[dict[str, str]]:
    """Return the rows as text, by column."""
    return [_text(comparison, row) for row in comparison.rows]


def _text(comparison: Comparison, row: Row) -> dict[str, str]:
    cell, unfinished = row.cell, {kind: count for kind, count in row.cell.unfinished.items() if count}
    return {
        **{key: spelled(value) for key, value in cell.settings.items()},
        "n": str(len(cell.values)),
        comparison.y: in_brackets(cell.mean),
        "to best": NONE if row.to_best is None else in_brackets(row.to_best.estimate, "+.3f"),
        "verdict": verdict(comparison, row),
        "KL": _number(cell.kl, ".2f"),
        "time": clock.duration(cell.seconds),
        "peak MiB": _number(cell.peak_mib, ".0f"),
        "not counted": ", ".join(f"{count} {kind}" for kind, count in unfinished.items()) or NONE,
    }


def shown_columns(comparison: Comparison) -> list[str]:
    """Name the columns that say something of a row."""
    rows = texts(comparison)
    idle = {name for name in ("KL", "peak MiB", "not counted") if all(row[name] == NONE for row in rows)}
    return [name for name in rows[0] if name not in idle]


def left_columns(comparison: Comparison) -> list[str]:
    """Name the columns of words; the others hold numbers."""
    return [*comparison.axes, "verdict", "not counted"]


def _number(value: float, form: str) -> str:
    return NONE if math.isnan(value) else format(value, form)


def show(console: Console, comparison: Comparison, most: int | None = None) -> None:
    """Print the answer, then the table, of at most so many rows, then what to keep in mind."""
    console.print(f"{comparison.sweep}: {comparison.title}", style="bold", highlight=False, soft_wrap=True)
    first, *rest = sentences(comparison)
    console.print(first, highlight=False, soft_wrap=True, markup=False)
    rows = texts(comparison)
    table = Table(box=None, header_style="bold", pad_edge=False)
    left, names = left_columns(comparison), shown_columns(comparison)
    for name in names:
        table.add_column(Text(name), justify="left" if name in left else "right", no_wrap=name not in comparison.axes)
    for row in rows[:most]:
        table.add_row(*(Text(row[name], style=STYLES.get(row["verdict"], "")) for name in names))
    console.print(table)
    if most is not None and len(rows) > most:
        console.print(f"... {len(rows) - most} more")
        return
    for sentence in rest:
        console.print(sentence, highlight=False, soft_wrap=True, markup=False)


def numbers(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the rows as plain data that a script can read; None where there is no number."""
    return [_plain(comparison, row) for row in comparison.rows]


def _plain(comparison: Comparison, row: Row) -> dict[str, Any]:
    cell, apart = row.cell, row.to_best
    of_best = apart.estimate if apart is not None else Estimate(math.nan)
    values = {
        "mean": cell.mean.value, "low": cell.mean.low, "high": cell.mean.high,
        "to_best": of_best.value, "to_best_low": of_best.low, "to_best_high": of_best.high,
        "kl": cell.kl, "seconds": cell.seconds, "peak_mib": cell.peak_mib,
    }  # fmt: skip
    return {
        "settings": cell.settings,
        "verdict": verdict(comparison, row),
        "n": len(cell.values),
        **{name: value if math.isfinite(value) else None for name, value in values.items()},
        "paired_seeds": apart.n_paired if apart is not None else None,
        **cell.unfinished,
        "values": {str(seed): value for seed, value in cell.values.items()},
        "keys": list(cell.keys),
    }


def legend(comparisons: Sequence[Comparison]) -> str:
    """Say what the numbers of comparisons are."""
    return MIDDLE if any(each.middle for each in comparisons) else LEGEND


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """Return the whole comparison as plain data."""
    return {
        "sweep": comparison.sweep, "title": comparison.title, "y": comparison.y, "axes": list(comparison.axes),
        "statistic": "iqm" if comparison.middle else "mean",
        "decided": comparison.decided, "answer": answer(comparison), "notes": sentences(comparison)[1:],
        "cells": numbers(comparison),
    }  # fmt: skip


def csv(comparisons: Sequence[Comparison]) -> str:
    """Write numbers as CSV, with sweep, data and metric in every row."""
    import pandas as pd

    rows = []
    for each in comparisons:
        for row in numbers(each):
            told = {"sweep": each.sweep, "data": each.title, "y": each.y, **row.pop("settings")}
            seeds = " ".join(row.pop("values"))
            keys = " ".join(row.pop("keys"))
            rows.append({**told, **row, "seeds": seeds, "keys": keys})
    return pd.DataFrame(rows).convert_dtypes().to_csv(index=False, lineterminator="\n")


def latex(comparison: Comparison) -> str:
    """Write a comparison for the LaTeX package booktabs; the answer is its caption."""
    import pandas as pd

    caption = f"{comparison.title}. {' '.join(sentences(comparison))} {legend([comparison])}"
    rows, left = texts(comparison), left_columns(comparison)
    columns = "".join("l" if name in left else "r" for name in rows[0])
    return pd.DataFrame(rows).to_latex(
        index=False, escape=True, caption=_escaped(caption), column_format=columns, position="t"
    )


def _escaped(text: str) -> str:
    """Escape what LaTeX reads as a command, as pandas does in cells, but not in a caption."""
    return text.translate(LATEX)


def markdown(comparison: Comparison) -> str:
    """Write a comparison as Markdown, with its sentences below."""
    import pandas as pd

    rows = [{name: cell.replace("|", r"\|") for name, cell in row.items()} for row in texts(comparison)]
    table = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    return (
        "\n\n".join(
            [f"**{comparison.sweep}: {comparison.title}**", table, *sentences(comparison), legend([comparison])]
        )
        + "\n"
    )
