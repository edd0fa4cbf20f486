"""Trials of searches in the order in which they were asked for, with the best value so far."""

import pandas as pd

from analysis.statistics import stats
from analysis.statistics.frames import Frames

OF_RUN = [*stats.PANEL, "variant"]


def trials(frames: Frames) -> pd.DataFrame:
    """Join the trials of searches with what their runs share; those of a search without a finished run are left out.

    Returns `load.SEARCHED` without `keys`, with OF_RUN (of a trial that did not finish: those of one that did;
    `variant` without what was searched), run_keys, and `best`: the best value of the trials up to this one, NaN before
    the first that is done.
    """
    who = frames.runs.drop_duplicates("run_key").set_index("run_key")
    rows, shared = [], {}
    for row in frames.searches.sort_values("value").to_dict("records") if len(frames.searches) else []:
        keys = row.pop("keys")
        known = [key for key in keys if key in who.index]
        if known:
            shared[row["sweep"]] = who.loc[known[0], OF_RUN].to_dict()
        own = who.loc[known[0], OF_RUN].to_dict() if known else shared.get(row["sweep"])
        if own is not None:  # trials without a value come last
            rest = [word for word in own["variant"].split() if word.partition("=")[0] not in row["space"]]
            rows.append(own | row | {"variant": " ".join(rest), "run_keys": " ".join(keys)})
    if not rows:
        return pd.DataFrame()
    found = pd.DataFrame(rows).sort_values(["sweep", "trial"], ignore_index=True)
    parts = [part.assign(best=_best_so_far(part)) for _, part in found.groupby("sweep")]
    return pd.concat(parts, ignore_index=True)


def _best_so_far(rows: pd.DataFrame) -> pd.Series:
    """Return the running best; a trial without a value takes over that of the one before it."""
    best = rows["value"].cummin() if rows["direction"].iloc[0] == "minimize" else rows["value"].cummax()
    return best.ffill()
