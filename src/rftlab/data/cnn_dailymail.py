"""CNN/DailyMail (Hermann et al. 2015; See et al. 2017): summarise a news article by its highlights."""

from collections.abc import Mapping

from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import news


def examples(row: Mapping) -> list[Text]:
    """Format one row: the article behind one word, and the highlights with the newlines between them."""
    return [Text(prompt=f"Summarize: {row['article']}", targets=(row["highlights"],))]


DATASET = TextDataset(columns={"article": str, "highlights": str}, examples=examples, bundled=news.rows)
load = DATASET.load
