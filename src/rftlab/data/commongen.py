"""CommonGen (Lin et al. 2020): write a sentence that contains a few given concepts."""

from collections.abc import Mapping

from rftlab.data.parts.rows import Rows
from rftlab.data.parts.splits import half
from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import concepts


def examples(row: Mapping) -> list[Text]:
    """Format one row: the concepts in their order and one sentence, which is the only target, as in GRUE."""
    return [Text(prompt=f"generate a sentence with: {' '.join(row['concepts'])}.", targets=(row["target"],))]


def part(split: str, rows: Rows) -> list[int]:
    """Number the rows of a split: of train all; of the others the first row of each concept set.

    The hub's test split has no sentences. Validation and test are therefore the halves of its validation split, cut by
    concept set, whatever the order of the concepts.
    """
    if split == "train":
        return list(range(len(rows)))
    # a null is a set of its own, and its row is refused or dropped
    sets = rows.column("concepts", lambda row: " ".join(sorted(set(row))), of_null=str)
    first = {key: number for number, key in reversed(list(enumerate(sets)))}
    return [number for number in half(split, sets) if first[sets[number]] == number]


DATASET = TextDataset(
    columns={"concepts": [str], "target": str},
    examples=examples,
    bundled=concepts.rows,
    splits={"train": "train", "validation": "validation", "test": "validation"},
    part=part,
    needs="at least two concept sets in the hub's validation split",
)
load = DATASET.load
