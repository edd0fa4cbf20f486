"""Scored responses in a run folder: written once by the run that sampled them, read by runs that learn from them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab.errors import UserError
from rftlab.files import replacing

RESPONSES = "responses.parquet"  # of a run folder
COLUMNS = ("split", "prompt_id", "prompt", "targets", "response", "response_ids", "score")


def write_responses(folder: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Store scored responses, a row each; `columns` are those of `COLUMNS`, lists of equal length.

    `response_ids` are the ids as sampled: a text read back need not give the same.

    Raises:
        UserError: the disk did not take it.
    """
    import pandas as pd

    frame = pd.DataFrame({name: columns[name] for name in COLUMNS})
    with replacing(folder / RESPONSES) as file:
        frame.to_parquet(file, index=False)


def read_responses(folder: Path) -> Any:
    """Return the scored responses of a run as a pandas frame, or None where the run has none.

    Raises:
        UserError: the file is damaged.
    """
    import pandas as pd
    import pyarrow as pa

    path = folder / RESPONSES
    if not path.exists():
        return None
    try:
        return pd.read_parquet(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowException) as error:
        found = f"{path} cannot be read ({(str(error).splitlines() or [type(error).__name__])[0].rstrip('.')})"
        raise UserError(found, "what the run wrote: remove its folder to make it again", "that file") from error
