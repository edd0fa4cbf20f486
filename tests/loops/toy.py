"""A reward that a tiny random model can learn, and the death of a process."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


class Killed(Exception):
    """Stands for the death of a process."""


@dataclass
class ShareOfVowels:
    """Reward the share of vowels; dies at a given call to interrupt a run in the middle of an iteration."""

    dies_at: int | None = None
    calls: int = field(default=0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> np.ndarray:
        self.calls += 1
        if self.calls == self.dies_at:
            raise Killed
        return np.array([sum(c in "aeiou" for c in r) / max(1, len(r)) for r in responses])
