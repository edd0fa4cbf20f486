"""Any dataset of the hub, read by the names of its columns: prompts, gold texts, scored responses or pairs."""

from pathlib import Path
from typing import Literal

from rftlab.data.parts.columns import Columns, Names, OwnRows, Row, Shares, deal, key_of_name, splits_of
from rftlab.data.parts.pairs import Drop
from rftlab.errors import UserError
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Splits

KEYS = "data.prompt.column, data.target.column or those of responses"


def load(
    *,
    source: Given[Literal["hub"]],
    hub_id: str | None,
    hub_config: str | None,
    hub_revision: str | None,
    hub_dir: str | None,
    hub_mirror: Given[Path | None],
    prompt_column: str | None,
    target_column: str | None,
    response_column: str | None,
    score_column: str | None,
    chosen_column: str | None,
    rejected_column: str | None,
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
    """Load the splits that are named, and deal prompts to the others; the limits keep a random subset of prompts.

    Raises:
        UserError: The dataset, a split or a column is missing, or a row has a value of another kind or an empty target.
    """
    if source != "hub" or hub_id is None or prompt_column is None:
        key = "data.source" if source != "hub" else "data.loader.hub_id" if hub_id is None else "data.prompt.column"
        raise UserError(f"{key}={source if source != 'hub' else 'null'}", "a dataset of the hub with its columns", key)
    from rftlab.data.parts.hub import read_split  # imports `datasets`, which runs on other data need not wait for

    columns = Columns(
        prompt=prompt_column,
        target=target_column,
        response=response_column,
        score=score_column,
        chosen=chosen_column,
        rejected=rejected_column,
        split=None,
    )

    def rows(split: str, name: str) -> list[Row]:
        table = read_split(
            hub_id,
            hub_config,
            name,
            hub_mirror,
            tuple(dict.fromkeys(columns.named().values())),
            revision=hub_revision,
            data_dir=hub_dir,
            change=KEYS,
            change_split=key_of_name(split),
        )
        return OwnRows(rows=table.to_list(), columns=columns, place=f"split '{name}' of {hub_id}").read(drop_empty)

    dealt = {split: rows(split, name) for split, name in names.of_ours().items() if name is not None}
    dealt |= deal(dealt["train"], shares, names.lacking())
    limits = {"train": n_train, "validation": n_validation, "test": n_test}
    return splits_of(dealt, limits, drop_pairs, drop_duplicates, seed, source, hub_id)
