"""IWSLT 2017 (Cettolo et al. 2017): translate sentences of talks from English to German."""

from collections.abc import Mapping

from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import phrases


def examples(row: Mapping) -> list[Text]:
    """Format one row: T5's own words for this task, and the sentence."""
    pair = row["translation"]
    return [Text(prompt=f"translate English to German: {pair['en']}", targets=(pair["de"],))]


DATASET = TextDataset(columns={"translation": {"de": str, "en": str}}, examples=examples, bundled=phrases.rows)
load = DATASET.load
