"""How many tokens a model can read, from its config alone; needs no torch."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rftlab.assets import locate
from rftlab.errors import UserError

AFTER_PAD = ("roberta", "xlm-roberta", "camembert", "longformer", "data2vec-text")  # positions start after the pad's id
RELATIVE = ("relative_attention_num_buckets", "relative_attention")  # T5, DeBERTa: distances, which have no end


def positions_of(config: Mapping[str, Any]) -> int | None:
    """Return how many positions the config of a model (config.json) has; None where it sets no limit."""
    found = config.get("n_positions") or config.get("max_position_embeddings")
    if not found or found < 0 or any(config.get(key) for key in RELATIVE):
        return None
    return found - (config.get("pad_token_id") or 0) - 1 if config.get("model_type") in AFTER_PAD else found


def known_config(source: str | Path, hub_mirror: str | Path | None) -> Mapping[str, Any]:
    """Return the config of an embedded model, a folder or a model of the mirror; empty where it must be loaded first.

    What is wrong with the source is left to the loading, which says so.
    """
    try:
        where = locate(source, hub_mirror, "")
    except UserError:
        return {}
    return _content(where / "config.json") if isinstance(where, Path) else {}


@cache
def _content(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def refuse_beyond(positions: int | None, source: str | Path, lengths: Mapping[str, int]) -> None:
    """Refuse a row of several parts (key -> its most tokens) that is longer than the positions of the model.

    Raises:
        UserError: the parts, the limit and the keys to change.
    """
    if positions is None or sum(lengths.values()) <= positions:
        return
    asked = " and ".join(f"{key}={tokens}" for key, tokens in lengths.items())
    expected = f"at most {positions}{' together' if len(lengths) > 1 else ''}"
    raise UserError(f"{asked} in {source}, a model of {positions} positions", expected, " or ".join(lengths))
