"""Before a run counts as done: would it be the same with what is here now, though its key does not say so?"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.launch.rows import check_rows
from rftlab.rewards import wordnet


def check_same(made: Iterable[tuple[Mapping[str, Any], Path]]) -> None:
    """Compare rows and synonyms with those of the run folders that answer configs: with others a folder is no answer.

    Raises:
        UserError: A run folder was made with others, or rows cannot be read.
    """
    made = list(made)
    check_rows(made)
    if noted := [folder for _, folder in made if runs.read_synonyms(folder) is not None]:
        here = wordnet.source()
        for folder in noted:
            runs.refuse_other_synonyms(folder, here)
