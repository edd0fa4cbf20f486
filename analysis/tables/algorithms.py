"""Every algorithm beside the others: test reward before and after, its change with an interval, KL, seconds, memory."""

from collections.abc import Iterator

import pandas as pd

from analysis.drawing import layout, style
from analysis.drawing.table import Table, interval, number, of_cells
from analysis.missing.wanted import ALGORITHMS
from analysis.statistics import frontier, stats
from analysis.statistics.frames import Frames

METRICS = [frontier.REWARD]
WANTED = ALGORITHMS


def draw(frames: Frames) -> Iterator[Table]:
    """Lay out each scale and source."""
    return map(laid_out, stats.parts(frontier.outcomes(frames), stats.KIND))


def laid_out(cells: pd.DataFrame) -> Table:
    """Lay out the cells of one scale and source, a row each, the algorithms of one dataset and model together."""
    caption = (
        "Reward of test prompts before and after training, mean over n seeds; its change with a 95 % interval over "
        "seeds (Student's t); KL to the start in nats per response, of the last rollout or evaluation; seconds of all "
        "steps and evaluations, with loading; the most memory that the process held."
    )
    return of_cells("table_algorithms", cells, [], _row, caption)


def _row(row: dict) -> dict[str, str]:
    return {
        "data": style.name(row["data"]),
        "model": row["model"],
        "algorithm": _label(row),
        "reward before": number(row["start"]),
        "after": number(row["end"]),
        "change": interval(row["gain"], row["low"], row["high"], "+.3f"),
        "KL": number(row["kl"], ".2f"),
        "seconds": number(row["seconds"], ".0f"),
        "peak MiB": number(row["peak_mib"], ".0f"),
        "n": str(row["n"]),
    }


def _label(row: dict) -> str:
    setting = layout.setting_label(row["algo"], row["variant"])
    return layout.with_beginning(setting, row["heuristic"])
