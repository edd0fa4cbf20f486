"""A world of tables about people's works, in the schemas of `google-research-datasets/totto` and of FeTaQA.

A table has a page (a person), a section (a kind of work), and a row per work: year, work, town, coins paid. One row is
highlighted; the sentence, or the answer, puts its cells into words. No page is in two splits.
"""

from dataclasses import dataclass, replace

import numpy as np

from rftlab.data.worlds.grammar import COLOURS, NAMES, Generated, article, fill, generator, pick, pick_many, row_id
from rftlab.data.worlds.stories import NUMBERS, OBJECTS, TOWNS

SIZES = {"train": 4000, "validation": 400, "test": 200}
WORKS = (3, 5)  # per table, both ends included
DEEDS = (("Paintings", "painted"), ("Finds", "found"), ("Sales", "sold"), ("Repairs", "mended"))
YEARS = (1900, 1990)
COLUMNS = ("Year", "Work", "Town", "Coins")
SENTENCES = (
    "In {year} {name} {did} {work} in {town}.",
    "{name} {did} {work} in {town} in {year}.",
    "{work} was {did} by {name} in {year}.",
)
QUESTIONS = (
    ("What did {name} do in {year}?", "In {year} {name} {did} {work} in {town} for {coins} coins."),
    ("Where and when was {work} {did}?", "{work} was {did} in {town} in {year} by {name}."),
    ("How many coins were paid for {work}?", "{coins} coins were paid for {work} in {year}."),
)


@dataclass(frozen=True)
class Page:
    """A table with its titles: the cells of its rows, without the header."""

    title: str
    section: str
    did: str
    works: tuple[tuple[str, str, str, str], ...]


def prose(seed: int, split: str, index: int) -> str:
    """Return plain sentences about the works of a table; their page has no number."""
    rng = generator(seed, "table", split, index)
    page = replace(_page(rng, 0), title=pick(rng, NAMES))
    said = [fill(pick(rng, SENTENCES), _words(page, work)) for work in range(len(page.works))]
    return " ".join(said)


def totto_rows(seed: int, split: str) -> Generated[dict]:
    """Make one row per table, with the columns of the hub dataset."""
    return Generated(lambda number: _totto_row(seed, split, number), SIZES[split])


def fetaqa_rows(seed: int, split: str) -> Generated[dict]:
    """Make one row per question, with the columns of the hub dataset."""
    return Generated(lambda number: _fetaqa_row(seed, split, number), SIZES[split])


def _page(rng: np.random.Generator, number: int) -> Page:
    """Draw a table; the number makes the page one of its own."""
    section, did = pick(rng, DEEDS)
    count = int(rng.integers(WORKS[0], WORKS[1] + 1))
    years = np.sort(rng.choice(np.arange(*YEARS), size=count, replace=False)).tolist()
    works = zip(years, pick_many(rng, OBJECTS, count), pick_many(rng, TOWNS, count), strict=True)
    lines = tuple((str(year), f"{pick(rng, COLOURS)} {thing}", town, pick(rng, NUMBERS)) for year, thing, town in works)
    return Page(f"{pick(rng, NAMES)} {number + 1}", section, did, lines)


def _totto_row(seed: int, split: str, number: int) -> dict:
    rng = generator(seed, "table", split, number)
    page = _page(rng, _numbered(split, number))
    chosen = int(rng.integers(len(page.works)))
    words = _words(page, chosen)
    sentences = [fill(text, words) for text in pick_many(rng, SENTENCES, 1 if split == "train" else 3)]
    identity = row_id("table", seed, split, number)
    return {
        "id": number,
        "table_page_title": page.title,
        "table_webpage_url": f"http://example.org/{identity}",
        "table_section_title": page.section,
        "table_section_text": "",
        "table": _cells(page),
        "highlighted_cells": [[chosen + 1, COLUMNS.index(name)] for name in ("Work", "Town")],
        "example_id": identity,
        "sentence_annotations": {
            "original_sentence": sentences,
            "sentence_after_deletion": sentences,
            "sentence_after_ambiguity": sentences,
            "final_sentence": sentences,
        },
        "overlap_subset": "none" if split == "train" else "False",
    }


def _cells(page: Page) -> list[list[dict]]:
    """Lay out a table whose first row holds headers; the year is the header of its row."""
    head = [_cell(name, header=True) for name in COLUMNS]
    return [head, *([_cell(value, header=place == 0) for place, value in enumerate(work)] for work in page.works)]


def _cell(value: str, *, header: bool) -> dict:
    return {"column_span": 1, "is_header": header, "row_span": 1, "value": value}


def _fetaqa_row(seed: int, split: str, number: int) -> dict:
    rng = generator(seed, "question", split, number)
    page = _page(rng, _numbered(split, number))
    chosen = int(rng.integers(len(page.works)))
    question, answer = (fill(text, _words(page, chosen)) for text in pick(rng, QUESTIONS))
    return {
        "feta_id": number,
        "table_source_json": f"bundled/{split}-{number}.json",
        "page_wikipedia_url": f"http://example.org/{row_id('question', seed, split, number)}",
        "table_page_title": page.title,
        "table_section_title": page.section,
        "table_array": [list(COLUMNS), *(list(work) for work in page.works)],
        "highlighted_cell_ids": [[chosen + 1, column] for column in range(len(COLUMNS))],
        "question": question,
        "answer": answer,
        "source": "bundled",
    }


def _words(page: Page, chosen: int) -> dict[str, str]:
    year, work, town, coins = page.works[chosen]
    return {"name": page.title, "did": page.did, "year": year, "work": article(work), "town": town, "coins": coins}


def _numbered(split: str, number: int) -> int:
    """Number the pages of all splits together."""
    return number * len(SIZES) + list(SIZES).index(split)
