"""Which synonyms METEOR had in a run: those of a WordNet, or none. Kept beside the key, as rows are (ADR 0041)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rftlab.errors import UserError
from rftlab.files import read_json, write_atomic
from rftlab.runs.identity import of_ours

SYNONYMS = "synonyms.json"  # of a run folder


def asks_for_synonyms(value: Any) -> bool:
    """Say whether a config, or a part of it, has a reward of ours whose scores depend on WordNet."""
    if not isinstance(value, Mapping):
        return False
    here = value.get("synonyms", "none") != "none" and of_ours(str(value.get("_target_", "")))
    return here or any(map(asks_for_synonyms, value.values()))


def note_synonyms(folder: Path, source: str) -> None:
    """Keep in a run folder where synonyms come from, or compare it with what is there.

    Raises:
        UserError: An earlier attempt at the run had others, or the folder cannot be written.
    """
    refuse_other_synonyms(folder, source)
    if read_synonyms(folder) is None:
        write_atomic(folder / SYNONYMS, json.dumps({"synonyms": source}) + "\n")


def read_synonyms(folder: Path) -> str | None:
    """Return where synonyms came from; None where the run has needed none yet, or was made before this was kept."""
    return (read_json(folder / SYNONYMS) or {}).get("synonyms")


def refuse_other_synonyms(folder: Path, now: str) -> None:
    """Compare where synonyms come from now with what a run folder says.

    Raises:
        UserError: They differ.
    """
    before = read_synonyms(folder)
    if before not in (None, now):
        raise UserError(
            f"{folder}, in which METEOR had {_in_words(before)}, and {_in_words(now)} here",
            "one reward under one key",
            "NLTK_DATA to a folder with the same WordNet (`make wordnet`) or without one, or reward.synonyms, or "
            "paths.outputs",
        )


def _in_words(source: str | None) -> str:
    return "no synonyms" if source == "none" else f"the synonyms of {source}"
