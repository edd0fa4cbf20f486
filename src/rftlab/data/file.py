"""A file of the user's own: CSV, JSON lines or parquet with prompts, gold texts, scored responses or pairs."""

from pathlib import Path
from typing import Literal

from rftlab.data.parts.columns import Columns, Names, OwnRows, Shares, by_split, deal, splits_of
from rftlab.data.parts.pairs import Drop
from rftlab.data.parts.table_file import read_file
from rftlab.errors import UserError
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Splits


def load(
    *,
    source: Given[Literal["file"]],
    hub_mirror: Given[Path | None],
    path: str | None,
    prompt_column: str | None,
    target_column: str | None,
    response_column: str | None,
    score_column: str | None,
    chosen_column: str | None,
    rejected_column: str | None,
    split_column: str | None,
    names: Names,
    shares: Shares,
    drop_empty: bool,
    drop_duplicates: bool,
    drop_pairs: Drop,
    n_train: Positive[int] | None,
    n_validation: Positive[int] | None,
    n_test: Positive[int] | None,
    seed: NonNegative[int],
) -> Splits:
    """Load the splits that a column names, and deal prompts to the others; the limits keep a random subset of prompts.

    Raises:
        UserError: The file cannot be read, lacks a column, holds a value of another kind or an empty target, or a split
            has no row.
    """
    if path is None or prompt_column is None:
        key = "data.path" if path is None else "data.prompt.column"
        raise UserError(f"{key}=null", "a file, and the column of its prompts", key)
    columns = Columns(
        prompt=prompt_column,
        target=target_column,
        response=response_column,
        score=score_column,
        chosen=chosen_column,
        rejected=rejected_column,
        split=split_column,
    )
    rows, has = read_file(Path(path), "data.path")
    own = OwnRows(rows=rows, columns=columns, place=path)
    own.require(has)
    read = own.read(drop_empty)
    if split_column is None:
        dealt = deal(read, shares, ("validation", "test"))
    else:
        dealt = by_split(read, names, split_column, path)
        dealt |= deal(dealt["train"], shares, names.lacking())
    limits = {"train": n_train, "validation": n_validation, "test": n_test}
    return splits_of(dealt, limits, drop_pairs, drop_duplicates, seed, source, path)
