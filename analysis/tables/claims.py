"""What Zhu et al. 2023 say of APA, PPO, AWR and the offline algorithms, held against the runs that are here.

A row per claim, sweep, dataset and model: the difference with its 95 % interval, and a verdict.
"""

from collections.abc import Iterator

import pandas as pd

from analysis.drawing import style
from analysis.drawing.table import Table, interval, kind_name
from analysis.statistics import claims, stats
from analysis.statistics.frames import Frames

METRICS = claims.METRICS
WANTED = ()
UNITS = {
    "reward": "reward, test prompts",
    "kl": "KL, nats per response",
    "gain": "mean gain up to the common KL",
    "fall": "best reward minus last",
    "win rate": "win rate minus 0.5",
}


def draw(frames: Frames) -> Iterator[Table]:
    """Lay out each scale and source of sweeps that can tell of a claim."""
    rows = claims.of_sweeps(frames)
    yield from map(laid_out, stats.parts(rows, stats.KIND) if len(rows) else ())


def laid_out(rows: pd.DataFrame) -> Table:
    """Lay out the claims of one scale and source, those of a figure of the paper together."""
    caption = (
        "Claims of Zhu et al. 2023 in our words, with the figure of the paper that the sweep repeats. Difference: of "
        "the side that the claim puts above, minus the other: means over the n seeds (of shared seeds where there are "
        "two) with the 95 % interval (Student's t); for a win rate over seeds, or over prompts where one pair of runs "
        f"was judged. {claims.SUPPORTED.capitalize()}: the interval lies above 0; {claims.NOT_SUPPORTED}: below 0; "
        f"{claims.UNDECIDED}: 0 is inside, or one seed has no interval. Not corrected for the number of claims."
    )
    figures = list(claims.FIGURES)
    order = rows[stats.HELD].map(lambda sweep: figures.index(sweep) if sweep in figures else len(figures))
    ordered = rows.assign(order=order).sort_values(["order", stats.HELD, "data", "model"], kind="stable")
    cells = pd.DataFrame([_row(row) for row in ordered.to_dict("records")])
    return Table(kind_name("table_claims", rows), caption, cells, ordered["run_keys"])


def _row(row: dict) -> dict[str, str]:
    return {
        "figure": claims.FIGURES.get(row[stats.HELD], "-"),
        "sweep": row[stats.HELD],
        "data": style.name(row["data"]),
        "model": row["model"],
        "claim": row["claim"],
        "measured": UNITS[row["measure"]],
        "difference": interval(row["value"], row["low"], row["high"], "+.3f"),
        "n": str(row["n"]),
        "verdict": row["verdict"],
    }
