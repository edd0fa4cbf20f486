"""FeTaQA (Nan et al. 2022): answer a question about a table in a sentence, from the cells that support the answer."""

from collections.abc import Mapping

from rftlab.data.parts.tables import linearised
from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import tables


def examples(row: Mapping) -> list[Text]:
    """Format one row: the question, and the supporting cells as in ToTTo; the first row of a table is its header."""
    table = [
        [{"value": value, "is_header": number == 0, "column_span": 1} for value in cells]
        for number, cells in enumerate(row["table_array"])
    ]
    titles = row["table_page_title"], row["table_section_title"]
    cells = linearised(table, row["highlighted_cell_ids"], *titles)
    return [Text(prompt=f"{row['question']} {cells}", targets=(row["answer"],))]


DATASET = TextDataset(
    columns={
        "table_page_title": str,
        "table_section_title": str,
        "table_array": [[str]],
        "highlighted_cell_ids": [[int]],
        "question": str,
        "answer": str,
    },
    examples=examples,
    bundled=tables.fetaqa_rows,
)
load = DATASET.load
