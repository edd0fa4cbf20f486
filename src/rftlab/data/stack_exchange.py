"""Stack Exchange as in StackLLaMA (Beeching et al. 2023): answer a question; pairs, `response_j` the better one.

The hub dataset has a folder for each stage: `data/finetune`, `data/reward` (pairs), `data/rl` (prompts), and
`data/evaluation`, whose questions are dealt to validation and test in turn.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rftlab.data.parts.counting import Drop
from rftlab.data.parts.pairs import Drop as DropPairs
from rftlab.data.parts.pairs import TextPair, pairs_of_rows
from rftlab.data.parts.rows import Rows
from rftlab.data.parts.splits import Origin, Source
from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import answers
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Splits

REWARD, EVALUATION = "data/reward", "data/evaluation"
OF_HUB = "train"  # the one split that each folder has


def pair(row: Mapping[str, Any]) -> TextPair:
    """Format one row."""
    prompt = f"Question: {row['question']}\n\nAnswer: "
    return TextPair(prompt=prompt, chosen=row["response_j"], rejected=row["response_k"])


def examples(row: Mapping[str, Any]) -> list[Text]:
    """Format one row: the target is the better answer."""
    replies = pair(row)
    return [Text(prompt=replies.prompt, targets=(replies.chosen,), meta={"qid": row["qid"]})]


def part(split: str, rows: Rows) -> list[int]:
    """Number the rows of one of our splits: questions of the evaluation folder take turns, each with all its rows."""
    if split == "train":
        return list(range(len(rows)))
    questions = rows.column("qid", int, of_null=lambda: -1)  # the row itself is refused or dropped
    order = {question: place for place, question in enumerate(dict.fromkeys(questions))}
    mine = ("validation", "test").index(split)
    return [number for number, question in enumerate(questions) if order[question] % 2 == mine]


def bundled(seed: int, split: str, folder: str = "data/rl") -> list[dict]:
    """Make the rows of a folder of the hub dataset."""
    return answers.rows(seed, folder.rpartition("/")[2])


DATASET = TextDataset(
    columns={"qid": int, "question": str, "response_j": str, "response_k": str},
    examples=examples,
    bundled=bundled,
    splits=dict.fromkeys(("train", "validation", "test"), OF_HUB),
    part=part,
    needs="two questions in data/evaluation at least",
)


def load(
    *,
    source: Given[Source],
    hub_id: str,
    hub_config: str | None,
    hub_revision: str | None,
    prompts_dir: str,
    hub_mirror: Given[Path | None],
    drop: Drop,
    drop_pairs: DropPairs,
    n_train: Positive[int] | None,
    n_validation: Positive[int] | None,
    n_test: Positive[int] | None,
    n_pairs: Positive[int] | None,
    seed: NonNegative[int],
) -> Splits:
    """Load the prompts of a folder, those of evaluation, and pairs: of the reward folder, and those of validation.

    The limits keep a random subset of rows (None = all); `n_pairs` is that of the reward folder.

    Raises:
        UserError: an unknown source, anything missing on the hub or in the mirror, or a row of another kind.
    """

    def at(folder: str) -> tuple[Rows, Origin]:
        origin = Origin(
            source=source,
            hub_id=hub_id,
            hub_config=hub_config,
            hub_revision=hub_revision,
            hub_mirror=hub_mirror,
            seed=seed,
            hub_dir=folder,
        )
        return origin.rows(OF_HUB, DATASET.columns, partial(bundled, folder=folder)), origin

    limits = {"train": n_train, "validation": n_validation, "test": n_test}
    places = {"train": at(prompts_dir), **dict.fromkeys(("validation", "test"), at(EVALUATION))}
    made = {
        split: DATASET.examples_of(rows, split, limits[split], origin, drop) for split, (rows, origin) in places.items()
    }
    of_pairs = {"train": (*at(REWARD), n_pairs), "validation": (*places["validation"], n_validation)}
    responses = {
        split: pairs_of_rows(rows, part(split, rows), pair, split, limit, origin, drop_pairs)
        for split, (rows, origin, limit) in of_pairs.items()
    }
    return DATASET.splits_of(made, places["train"][1], drop, responses)
