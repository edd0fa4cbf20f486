"""How far running jobs are, read from the end of their metrics file: the same for a laptop and a cluster."""

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

    def in_words(self, flat: Mapping[str, object]) -> str:
        """Return the metrics worth a look, named as the run's flat config says."""
        known = [f"{metric_label(name, flat)} {self.metrics[name]:.3f}" for name in SHOWN if name in self.metrics]
        return "  ".join(known[:2])


def read_progress(folder: Path) -> Progress | None:
    """Return where a run is, or None before its first step; reads the end of one file."""
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    step, metrics = None, {}
    for row in filter(None, map(parse_line, lines)):
        step = row["step"]
        metrics |= {name: float(value) for name, value in row["metrics"].items()}
    return None if step is None else Progress(step=step, metrics=metrics)
