"""NarrativeQA (Kocisky et al. 2018) in UnifiedQA's format: question, a literal `\\n`, summary."""

from collections.abc import Mapping

from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import stories


def examples(row: Mapping) -> list[Text]:
    """Format one row: a prompt and its answers, all in lower case.

    The prompt is question, space, backslash, `n`, space, summary without newlines, space: the two characters `\\n`
    are part of the text, as in UnifiedQA's files.
    """
    summary = row["document.summary.text"].replace("\n", "")
    answers = (answer["text"].lower().strip() for answer in row["answers"])
    return [
        Text(
            prompt=f"{row['question.text']} \\n {summary} ".lower(),
            targets=tuple(answer for answer in answers if answer),
        )
    ]


DATASET = TextDataset(
    columns={"document.summary.text": str, "question.text": str, "answers": [{"text": str}]},
    examples=examples,
    bundled=stories.rows,
    merged=True,  # the same question about the same story is one prompt, with the answers of all its rows
)
load = DATASET.load
