"""What figures and tables are drawn from: frames of `load`, of one run per setting and seed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pandas as pd

Statistic = TypeVar("Statistic")


@dataclass(frozen=True)
class Frames:
    """What the run folders hold."""

    runs: pd.DataFrame
    metrics: pd.DataFrame  # those that the figures and tables name
    prompts: pd.DataFrame
    cases: pd.DataFrame
    comparisons: pd.DataFrame = field(default_factory=pd.DataFrame)  # of `load.load_comparisons`, of two of these runs
    searches: pd.DataFrame = field(default_factory=pd.DataFrame)  # of `load.load_searches`
    _known: dict[Callable, Any] = field(default_factory=dict, repr=False)

    def once(self, compute: Callable[["Frames"], Statistic]) -> Statistic:
        """Compute a statistic the first time that it is asked for, and return the same result from then on."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        return self._known[compute]

    @property
    def counts(self) -> dict[str, str]:
        """Map each cell to what its steps count."""
        return dict(zip(self.runs["cell"], self.runs["counts"], strict=True))
