"""NarrativeQA (Kocisky et al. 2018) in UnifiedQA's format: question, a literal `\\n`, summary."""

from collections.abc import Mapping
from pathlib import Path

from rftlab.data.parts.splits import Origin, Source
from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import stories
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Splits


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
    merged=True,
)


def load(
    *,
    source: Given[Source],
    hub_id: str,
    hub_config: str | None,
    hub_mirror: Given[Path | None],
    n_train: Positive[int] | None,
    n_validation: Positive[int] | None,
    n_test: Positive[int] | None,
    seed: NonNegative[int],
) -> Splits:
    """Load questions with all their answers; rows with the same question about the same story are one prompt."""
    origin = Origin(source=source, hub_id=hub_id, hub_config=hub_config, hub_mirror=hub_mirror, seed=seed)
    return DATASET.load(origin, n_train=n_train, n_validation=n_validation, n_test=n_test)
