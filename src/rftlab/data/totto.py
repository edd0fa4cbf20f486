"""ToTTo (Parikh et al. 2020): describe the highlighted cells of a table in one sentence."""

from collections.abc import Mapping

from rftlab.data.parts.rows import Rows
from rftlab.data.parts.splits import half
from rftlab.data.parts.tables import linearised
from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import tables


def examples(row: Mapping) -> list[Text]:
    """Format one row: the highlighted cells twice, then with titles and no space before them, as in GRUE."""
    table, cells = row["table"], row["highlighted_cells"]
    plain = linearised(table, cells)
    titled = linearised(table, cells, row["table_page_title"], row["table_section_title"])
    return [Text(prompt=plain + titled, targets=tuple(row["sentence_annotations.final_sentence"]))]


def part(split: str, rows: Rows) -> list[int]:
    """Number the rows of a split.

    The hub's test split has no sentences. Validation and test are therefore the halves of its validation split, cut by
    page.
    """
    if split == "train":
        return list(range(len(rows)))
    return half(split, rows.column("table_page_title", str, of_null=str))  # the row itself is refused or dropped


DATASET = TextDataset(
    columns={
        "table_page_title": str,
        "table_section_title": str,
        "table": [[{"value": str, "is_header": bool, "column_span": int}]],
        "highlighted_cells": [[int]],
        "sentence_annotations.final_sentence": [str],
    },
    examples=examples,
    bundled=tables.totto_rows,
    splits={"train": "train", "validation": "validation", "test": "validation"},
    part=part,
    needs="at least two pages in the hub's validation split",
)
load = DATASET.load
