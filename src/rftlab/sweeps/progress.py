"""How far running jobs are, read from the end of their metrics file: the same for a laptop and a cluster."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rftlab.files import parse_line
from rftlab.runs.naming import metric_label

TAIL_BYTES = 16_384
SHOWN = ("reward/mean", "policy/kl", "sft/loss")  # the first two that a run has are shown


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The last step that a run logged, with a few of its metrics."""

    step: int
    metrics: dict[str, float]
    logged: float | None  # when that step was logged
    seconds_per_step: float | None  # over the steps at the end of the file; None before the second of an attempt

    def left_s(self, total: int, seconds_per_step: float | None, now: float | None = None) -> float | None:
        """Return how long the steps up to `total` still take at a pace; None where it is not known."""
        if seconds_per_step is None or self.logged is None:
            return None
        since = (time.time() if now is None else now) - self.logged
        return max(0.0, (total - self.step) * seconds_per_step - since)

    def in_words(self, flat: Mapping[str, object]) -> str:
        """Return the metrics worth a look, named as the run's flat config says."""
        known = [f"{metric_label(name, flat)} {self.metrics[name]:.3f}" for name in SHOWN if name in self.metrics]
        return "  ".join(known[:2])


def read_progress(folder: Path) -> Progress | None:
    """Return where a run is, or None before its first step; reads the end of one file."""
    metrics: dict[str, float] = {}
    rows = list(filter(None, map(parse_line, _tail(folder))))
    if not rows:
        return None
    for row in rows:
        metrics |= {name: float(value) for name, value in row["metrics"].items()}
    last = rows[-1]
    return Progress(step=last["step"], metrics=metrics, logged=last.get("time"), seconds_per_step=_pace(rows))


def last_step(folder: Path) -> int:
    """Return the last step that a run has logged, 0 before its first; the rest of the file is not read."""
    lines = _tail(folder)
    return next((row["step"] for row in map(parse_line, reversed(lines)) if row), 0)


def _tail(folder: Path) -> list[bytes]:
    """Read the end of the metrics file; nothing where there is none."""
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def _pace(rows: list[dict]) -> float | None:
    """Return the seconds per step between the first and the last step of the newest attempt, evaluations included.

    A step is done with its first line. An online loop writes what it measured on a rollout, a line of the step before,
    together with the step that learned from it; so step 0 counts only where step 1 is not among the lines.
    """
    own = [row for row in rows if row.get("attempt") == rows[-1].get("attempt") and "time" in row]
    steps = {row["step"]: row["time"] for row in reversed(own) if row["step"] > 0}
    before = [row["time"] for row in own if row["step"] == 0]
    if before and 1 not in steps:
        steps[0] = before[-1]
    first, last = min(steps, default=0), max(steps, default=0)
    return (steps[last] - steps[first]) / (last - first) if last > first else None
