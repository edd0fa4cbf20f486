"""TL;DR (Voelske et al. 2017; Stiennon et al. 2020): summarise a Reddit post, with summaries that people compared.

Prompts and gold summaries are of `CarperAI/openai_summarize_tldr`, pairs of `CarperAI/openai_summarize_comparisons`. A
prompt is the text before "TL;DR:", and then a new line with "TL;DR:", which no cut takes (`data.prompt.ending`).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rftlab.data.parts.counting import Drop
from rftlab.data.parts.pairs import Drop as DropPairs
from rftlab.data.parts.pairs import TextPair, pairs_of_rows
from rftlab.data.parts.splits import Origin, Source
from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import posts
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Splits

MARK = "TL;DR:"
COMPARED = {"train": "train", "validation": "valid1"}  # our splits of pairs, and those of the hub dataset


def post(text: str) -> str:
    """Give a prompt its end, whether it has one or not."""
    return f"{text.split(MARK)[0].strip()}\n{MARK}"


def examples(row: Mapping[str, Any]) -> list[Text]:
    """Format one row; the label follows "TL;DR:" as it stands there."""
    return [Text(prompt=post(row["prompt"]), targets=(row["label"],))]


def pair(row: Mapping[str, Any]) -> TextPair:
    """Format one comparison: "TL;DR:" stands before the summaries there, and is the prompt's."""
    chosen, rejected = (row[name].removeprefix(MARK) for name in ("chosen", "rejected"))
    return TextPair(prompt=post(row["prompt"]), chosen=chosen, rejected=rejected)


DATASET = TextDataset(
    columns={"prompt": str, "label": str},
    examples=examples,
    bundled=posts.rows,
    splits={"train": "train", "validation": "valid", "test": "test"},
)
COMPARISONS = {"prompt": str, "chosen": str, "rejected": str}


def load(
    *,
    source: Given[Source],
    hub_id: str,
    hub_config: str | None,
    hub_revision: str | None,
    pairs_hub_id: str,
    pairs_hub_revision: str | None,
    hub_mirror: Given[Path | None],
    drop: Drop,
    drop_pairs: DropPairs,
    n_train: Positive[int] | None,
    n_validation: Positive[int] | None,
    n_test: Positive[int] | None,
    n_pairs: Positive[int] | None,
    seed: NonNegative[int],
) -> Splits:
    """Load prompts with gold summaries, and pairs; the limits keep a random subset of rows (None = all).

    `n_pairs` limits the pairs of the train split, `n_validation` those of the validation split.

    Raises:
        UserError: an unknown source, anything missing on the hub or in the mirror, or a row of another kind.
    """
    splits = DATASET.load(
        source=source,
        hub_id=hub_id,
        hub_config=hub_config,
        hub_revision=hub_revision,
        hub_mirror=hub_mirror,
        n_train=n_train,
        n_validation=n_validation,
        n_test=n_test,
        seed=seed,
        drop=drop,
    )
    origin = Origin(
        source=source,
        hub_id=pairs_hub_id,
        hub_config=None,
        hub_revision=pairs_hub_revision,
        hub_mirror=hub_mirror,
        seed=seed,
    )
    limits = {"train": n_pairs, "validation": n_validation}
    responses = {}
    for split, of_hub in COMPARED.items():
        rows = origin.rows(of_hub, COMPARISONS, posts.comparisons)
        responses[split] = pairs_of_rows(rows, range(len(rows)), pair, split, limits[split], origin, drop_pairs)
    return replace(splits, responses=responses)
