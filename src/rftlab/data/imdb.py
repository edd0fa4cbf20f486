"""IMDB reviews (Maas et al. 2011) as continuations: first half of a review the prompt, second half the target."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from rftlab.data.hub import check_source, read_split, take
from rftlab.data.worlds import reviews
from rftlab.data.worlds.grammar import generator
from rftlab.errors import UserError
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Example, Splits

COLUMNS = ("text", "label")
POSITIVE = 1
SHUFFLE_SEED = 42  # of the original split rule; independent of the run's seed
TRAIN_SHARE = 0.8  # of the shuffled train split; the rest is validation
TEST_SIZE = 5000  # first reviews of the shuffled test split


def load(
    *,
    source: Given[str],
    hub_id: str,
    hub_config: str | None,
    hub_mirror: Given[Path | None],
    n_train: Positive[int] | None,
    n_validation: Positive[int] | None,
    n_test: Positive[int] | None,
    seed: NonNegative[int],
) -> Splits:
    """Load the splits of Razin et al. 2024.

    Train: the positive reviews among 80 % of the train split. Validation: the other 20 %, both labels. Test: 5,000.

    The `n_*` limits keep a random subset of each (drawn from `seed`, in shuffled order; None = all); with
    `source=bundled` the seed also generates the rows.

    Raises:
        UserError: an unknown source, anything missing on the hub or in the mirror, or a split that is empty.
    """
    check_source(source)

    def rows(split: str) -> Iterable[Mapping]:
        if source == "bundled":
            return reviews.rows(seed, split)
        return read_split(hub_id, hub_config, split, hub_mirror, COLUMNS)

    train, validation = split_train(rows("train"))
    test = shuffled(rows("test"))[:TEST_SIZE]

    def examples(split: str, chosen: Sequence[Mapping], limit: int | None) -> list[Example]:
        if not chosen:
            raise UserError(
                f"no review is left for split '{split}' of {hub_id}",
                "reviews of both labels (0 negative, 1 positive)",
                "data.loader.hub_id or paths.hub_mirror",
            )
        kept = take(list(enumerate(chosen)), limit, generator(seed, "subset", split), split)
        return [to_example(row, f"{split}-{number}") for number, row in kept]

    return Splits(
        train=examples("train", train, n_train),
        validation=examples("validation", validation, n_validation),
        test=examples("test", test, n_test),
        source=source,
    )


def shuffled(rows: Iterable[Mapping]) -> list[Mapping]:
    """Order rows as `datasets.Dataset.shuffle(seed=42)` does."""
    everything = list(rows)
    return [everything[int(i)] for i in np.random.default_rng(SHUFFLE_SEED).permutation(len(everything))]


def split_train(rows: Iterable[Mapping]) -> tuple[list[Mapping], list[Mapping]]:
    """Cut the shuffled train rows into training prompts (positive reviews only) and validation (both labels)."""
    order = shuffled(rows)
    cut = int(len(order) * TRAIN_SHARE)
    return [row for row in order[:cut] if row["label"] == POSITIVE], order[cut:]


def to_example(row: Mapping, identity: str) -> Example:
    """Format one row of the hub's schema: the first half of its words (split at single spaces) and the rest."""
    words = row["text"].split(" ")
    half = len(words) // 2
    prompt, target = " ".join(words[:half]), " ".join(words[half:])
    return Example(id=identity, prompt=prompt, targets=(target,), meta={"label": int(row["label"])})
