"""The page of datasets: a line per dataset, source and split, and what it says of bundled rows is so."""

import re

import pytest

from rftlab.commands import datasets, spectrum
from rftlab.commands.datasets import Limits
from rftlab.types import Example, ScoredText, Splits

QUICK = "daily_dialog"
ROWS = datasets.PAGE.read_text().partition(spectrum.TITLE)[0]
LINES = [line.strip("| ").split(" | ") for line in ROWS.splitlines() if re.match(r"\| (?!dataset |---)", line)]


def test_every_dataset_of_the_hub_has_its_lines():
    bundled = [cells[:3] for cells in LINES if cells[1] == "bundled" and not cells[2].endswith(" pairs")]
    assert bundled == [[name, "bundled", split] for name in datasets.forms() for split in datasets.SPLITS]
    pairs = [cells[:3] for cells in LINES if cells[2].endswith(" pairs")]
    assert pairs == [
        [name, source, f"{split} pairs"]
        for name in ("hh", "hh-dialogues", "stack_exchange", "tldr")
        for source in ("bundled", "mirror")
        for split in ("train", "validation")
    ]
    assert {cells[1] for cells in LINES} == {"bundled", "mirror"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == QUICK else pytest.mark.slow) for name in datasets.forms()]
)
def test_the_lines_of_bundled_rows_are_what_the_command_writes_today(name: str):
    assert datasets.standing(name, "bundled") == datasets.measured(name, "bundled", None)


def test_the_page_keeps_its_own_lines_of_real_rows():
    lines = [
        line
        for name in datasets.forms()
        for source in ("bundled", "mirror")
        for line in datasets.standing(name, source)
    ]
    text = datasets.PAGE.read_text()
    assert text == datasets.page(lines, spectrum.joined(text, []))


def test_what_is_measured_of_a_split():
    rows = [Example(id=str(n), prompt="a b c", targets=("d e", "x " * 9)) for n in range(3)]
    other = [Example(id="3", prompt="a b c d", targets=("e",)), Example(id="4", prompt="f", targets=(" ",))]
    splits = Splits(train=[*rows, *other], validation=rows[:1], test=other[:1], source="bundled")
    first = next(iter(datasets._lines("x", "bundled", splits, Limits(prompt=3, target=1))))
    assert re.findall(r"[^|]+", first.replace(" ", "")) == [
        "x", "bundled", "train", "5", "3,4", "2,2", "2", "2", "1", "20.0%", "60.0%",
    ]  # fmt: skip


def test_what_is_counted_of_pairs():
    def said(better: str, worse: str) -> list[ScoredText]:
        example = Example(id="0", prompt="a b", targets=(better,))
        return [ScoredText(example=example, response=r, score=s) for r, s in ((better, 1.0), (worse, 0.0))]

    rows = [*said("c d e", "f"), *said("f", "c d e"), *said("f", "c d e"), *said("g", "g"), *said(" ", "h")]
    splits = Splits(train=[], validation=[], test=[], source="bundled", responses={"train": rows})
    (line,) = datasets._pair_lines("x", "bundled", splits)
    assert line == "| x | bundled | train pairs | 5 | 2, 2 | 1, 3 | 1, 3 | 1 | 1 | 1 | 1 |"
