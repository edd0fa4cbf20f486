"""What every loop is given, whatever it trains: the run folder, the seed, when to save, whom to tell, when to stop."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from tqdm import tqdm

from rftlab.runs import Run
from rftlab.stop import StopFlag

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Session:
    """One attempt at a run, seen from inside its loop."""

    run: Run
    seed: int
    checkpoint_every: int  # iterations, optimiser steps or epochs
    progress: bool | None  # None shows bars on a terminal only
    describe: Callable[[str], None]  # one line for the reader of the log
    stop: StopFlag

    def bar(self, items: Iterable[T], label: str, total: int | None = None, initial: int = 0) -> Iterable[T]:
        """Wrap a long loop in a progress bar on stderr."""
        hidden = None if self.progress is None else not self.progress
        return tqdm(items, desc=label, total=total, initial=initial, disable=hidden, dynamic_ncols=True, leave=False)
