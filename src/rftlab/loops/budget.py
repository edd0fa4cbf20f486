"""Measuring one thing after the other for as long as a budget of seconds lasts, with what is done kept."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rftlab.loops.session import Session

Tick = Callable[[], None]  # called before each pass of a measurement
Row = dict[str, Any]


class OutOfTimeError(Exception):
    """The budget ended within a measurement."""


@dataclass(kw_only=True)
class Kept:
    """What was measured so far, and in how many seconds; all of it goes into a checkpoint."""

    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0


def spread(n: int) -> list[int]:
    """Order 0 ... n - 1 so that the first few of them, however many, lie far apart: the ends first."""
    order, distance = [0], np.abs(np.arange(n))
    while len(order) < n:
        order.append(int(distance.argmax()))
        distance = np.minimum(distance, np.abs(np.arange(n) - order[-1]))
    return order


def measure_within(
    session: Session,
    measure: Callable[[int, Tick], Row],
    numbers: Sequence[int],
    *,
    passes: int,
    limit_s: int | None,
    kept: Kept,
    save: Callable[[Kept], None],
) -> bool:
    """Measure the numbers that `kept` has no row of yet, in their order, and save after each.

    Args:
        passes: the most passes that a measurement takes, for the bar of progress.
        limit_s: seconds for all measurements, those of an earlier attempt included; None = as many as they take. A
            measurement that the limit interrupts is lost.

    Returns:
        Whether all were measured.

    Raises:
        StopRequested: the run was asked to stop; at the latest after one more pass.
    """
    started = time.perf_counter() - kept.seconds
    first = len(kept.rows)
    bar = session.bar(range(first * passes, len(numbers) * passes), "gradients", len(numbers) * passes, first * passes)
    progress: Iterator[int] = iter(bar)
    shown = first * passes

    def tick() -> None:
        nonlocal shown
        session.stop.check()
        if limit_s is not None and time.perf_counter() - started > limit_s:
            raise OutOfTimeError
        next(progress, None)
        shown += 1

    try:
        for number in numbers[first:]:
            kept.rows.append(measure(number, tick))
            while shown < len(kept.rows) * passes:  # equal responses are measured once
                next(progress, None)
                shown += 1
            kept.seconds = time.perf_counter() - started
            save(kept)
            if len(kept.rows) == 1 < len(numbers):
                rest = len(numbers) - 1
                session.describe(f"the first of {len(numbers)} took {kept.seconds:.0f} s; {rest} are left")
    except OutOfTimeError:
        kept.seconds = time.perf_counter() - started
        return False
    finally:
        getattr(progress, "close", lambda: None)()  # the bar leaves the terminal
    return True
