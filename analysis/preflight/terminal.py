"""The report on a terminal, readable at 100 columns."""

import numpy as np
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from analysis.preflight import contents as said
from analysis.preflight.contents import Contents, Example, Row

BINS = 10
BAR = 22  # characters
BESIDE = 100  # columns that two histograms take


def show(contents: Contents, console: Console) -> None:
    """Print the report, the verdict last."""
    _heading(console, said.title(contents.setting))
    console.print(_pairs(said.header(contents)))
    _text(console, said.disclaimer(contents.setting), style="italic")
    _heading(console, "Reward std and mean of the prompts")
    console.print(histograms(contents, beside=console.width >= BESIDE))
    _heading(console, "Prompts with a vanishing expected gradient")
    console.print(_numbers(said.shares(contents)))
    _heading(console, "Averages and low percentiles")
    console.print(_numbers(said.moments(contents.summary)))
    _heading(console, "Sampling error")
    if rows := said.errors(contents.summary.error):
        console.print(_numbers(rows))
    for note in said.error_notes(contents):
        _text(console, note)
    _show_cases(contents, console)
    _show_examples(contents, console)
    _show_verdict(contents, console)


def histograms(contents: Contents, beside: bool) -> Table:
    """Draw the histograms of std and mean, beside or below each other."""
    prompts, threshold = contents.measured.prompts, contents.setting.std_below
    stds, means = prompts["reward_std"].to_numpy(), prompts["reward_mean"].to_numpy()
    result = Table(box=None, show_header=False, pad_edge=False, padding=(0, 4, 0, 0))
    left = _histogram("std", stds, said.std_edges(stds.max(), threshold, BINS))
    right = _histogram("mean", means, said.mean_edges(means, BINS))
    for row in [(left, right)] if beside else [(left,), ("",), (right,)]:
        result.add_row(*row)
    return result


def _histogram(name: str, values: np.ndarray, edges: np.ndarray) -> Table:
    """Draw one histogram, a line per bin; the longest bar is the largest count."""
    counts, _ = np.histogram(values, bins=edges)
    result = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    result.add_column(name, justify="right", no_wrap=True)
    result.add_column("", no_wrap=True, width=BAR)
    result.add_column("prompts", justify="right", no_wrap=True)
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        result.add_row(f"{low:.3g} to {high:.3g}", Text(said.bar(count / counts.max(), BAR), style="cyan"), str(count))
    return result


def _numbers(rows: list[Row]) -> Table:
    """Lay out numbers with their intervals."""
    result = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    result.add_column("")
    result.add_column("value", justify="right", no_wrap=True)
    if any(row.interval for row in rows):
        result.add_column("95 % interval", justify="right", no_wrap=True)
    for row in rows:
        result.add_row(*[Text(cell) for cell in (row.label, row.value, row.interval)][: len(result.columns)])
    return result


def _show_cases(contents: Contents, console: Console) -> None:
    """Print the measured gradients, if there are any."""
    cases = said.cases(contents.measured)
    if cases.empty:
        return
    _heading(console, "Measured gradients and their bounds")
    result = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in cases:
        result.add_column(str(name), justify="left" if name == "prompt" else "right", overflow="fold")
    for row in cases.itertuples(index=False):
        result.add_row(*(Text(cell) for cell in row))
    console.print(result)
    for note in said.gradient_notes(contents):
        _text(console, note)


def _show_examples(contents: Contents, console: Console) -> None:
    """Print the prompts at both ends, one after the other."""
    smallest, largest = said.examples(contents.measured)
    for words, examples in (("Smallest reward std", smallest), ("Largest reward std", largest)):
        if examples:
            _heading(console, words)
        for example in examples:
            console.print(Padding(_example(example), (0, 0, 1, 0)))


def _example(example: Example) -> Table:
    """Lay out a prompt over its responses."""
    result = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    result.add_column(justify="right", no_wrap=True, style="cyan", min_width=6)
    result.add_column(overflow="fold")
    result.add_row(Text("prompt"), Text(f"{example.prompt}  [mean {example.mean:.3f}, std {example.std:.3f}]"))
    for text, score, count in example.responses:
        result.add_row(Text(f"{score:.3f}"), Text(text + (f"  ({count} times)" if count > 1 else ""), style="dim"))
    return result


def _show_verdict(contents: Contents, console: Console) -> None:
    """Print the verdict with its commands; a command is never broken, so that it can be copied."""
    _heading(console, f"Verdict: {contents.verdict.kind}")
    for sentence in contents.verdict.sentences:
        _text(console, sentence)
    for purpose, command in contents.commands:
        _text(console, f"{purpose}:")
        console.print(Text(f"  {command}", style="green"), soft_wrap=True)
    for note in said.basis(contents):
        _text(console, note, style="dim")


def _pairs(rows: list[tuple[str, str]]) -> Table:
    """Lay out words and their values."""
    result = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    result.add_column(style="dim", no_wrap=True)
    result.add_column(overflow="fold")
    for name, value in rows:
        result.add_row(Text(name), Text(value))
    return result


def _heading(console: Console, words: str) -> None:
    console.print()
    console.print(Text(words, style="bold"))


def _text(console: Console, words: str, style: str = "") -> None:
    console.print(Text(words, style=style))
