"""Comparisons of two runs by a judge, each from the side of the algorithm that comes first."""

from collections.abc import Sequence

import pandas as pd

from analysis.statistics import stats
from analysis.statistics.frames import Frames

GROUP = [*stats.KIND, "data"]
OF_RUN = ["model", "algo", "variant", "heuristic", "seed"]


def sided(frames: Frames, order: Sequence[str]) -> pd.DataFrame:
    """Join comparisons with their runs; A is the run whose algorithm comes first in `order`, else the lower key.

    Returns GROUP, of each run `a_` and `b_` with OF_RUN and the key, comparison, judge, split, prompts, won, tied, lost
    (from the side of A), judged (their sum), left_out, identical, orders, rate and bias with `_low` and `_high`,
    run_keys.
    """
    who = frames.runs.drop_duplicates("run_key").set_index("run_key")
    rows = []
    for found in frames.comparisons.to_dict("records"):
        a, b = found.pop("run_a"), found.pop("run_b")
        if order.index(who.loc[b, "algo"]) < order.index(who.loc[a, "algo"]):
            a, b, found = b, a, swapped(found)
        of_runs = {f"{side}_{name}": who.loc[key, name] for side, key in (("a", a), ("b", b)) for name in OF_RUN}
        row = who.loc[a, GROUP].to_dict() | of_runs | {"a_key": a, "b_key": b} | found
        rows.append(row | {"judged": found["won"] + found["tied"] + found["lost"], "run_keys": f"{a} {b}"})
    columns = ["a_algo", "a_variant", "b_algo", "b_variant", "judge", "a_seed", "b_seed", "comparison"]
    return pd.DataFrame(rows).sort_values(columns, ignore_index=True) if rows else pd.DataFrame()


def swapped(found: dict) -> dict:
    """Look at a comparison from the other side; the response that stood first stays the same one, and so the bias."""
    other = {"won": found["lost"], "lost": found["won"], "rate": 1 - found["rate"]}
    return found | other | {"rate_low": 1 - found["rate_high"], "rate_high": 1 - found["rate_low"]}
