"""What every loop is given, whatever it trains: the run folder, the seed, when to save, whom to tell, when to stop."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from rich.console import Console

from rftlab.bars import make_console, track
from rftlab.loops import checkpoint
from rftlab.runs import Run
from rftlab.stop import StopFlag

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Session:
    """One attempt at a run, seen from inside its loop."""

    run: Run
    seed: int
    checkpoint_every: int  # iterations, optimiser steps or epochs
    progress: bool | None  # None: a bar on a terminal, a line every minute elsewhere; True: a bar in any case
    describe: Callable[[str], None]  # one line for the reader of the log
    stop: StopFlag

    def resume(self) -> tuple[int, dict[str, Any]] | None:
        """Give step and state of the newest readable checkpoint, on the CPU; None where the run has to start."""
        if (found := checkpoint.latest(self.run.folder)) is not None:
            self.run.goes_on_from(found[0])
        return found

    def due(self, step: int) -> bool:
        """Tell whether the state after this step is to be saved whatever comes next."""
        return self.stop.requested or step % self.checkpoint_every == 0

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write all metrics and a checkpoint, then heed a request to stop.

        Raises:
            StopRequested: The run was asked to stop; it goes on from here when it is started again.
        """
        self.run.flush()
        checkpoint.save(self.run.folder, step, state)
        self.stop.check()

    def bar(self, items: Iterable[T], label: str, total: int | None = None, initial: int = 0) -> Iterable[T]:
        """Show on stderr how far a long loop is, how fast, and when it ends."""
        return items if self.progress is False else track(items, label, total, initial, console=self._console)

    @cached_property
    def _console(self) -> Console:
        return make_console(forced=bool(self.progress))
