"""A reward of the user's own that names a run of any algorithm."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float


def load(
    *, run: str | None, batch_size: int, at_chance: bool, parent: Any = None
) -> Callable[..., Float[np.ndarray, " n"]]:
    """Load a reward that likes short responses, whatever the run has made."""

    def score(prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]) -> np.ndarray:
        return np.array([1.0 / (1 + len(response)) for response in responses])

    return score
