"""Where runs of a sweep ended, reward and KL together, by the settings in which they were asked to differ."""

import numpy as np
import pandas as pd

from analysis.statistics import axes, stats
from analysis.statistics.axes import Grid
from analysis.statistics.evaluations import KL, REWARD
from analysis.statistics.frames import Frames

INITIAL, TARGET = "algo.loss.kl.initial", "algo.loss.kl.target"
CONTROL = {INITIAL, TARGET}


def pairs_of_grids(frames: Frames) -> list[tuple[Grid, Grid]]:
    """Give each sweep by its axes twice, with reward and with KL: of the same runs, those that tell both at the end."""
    runs = stats.under_every_sweep(stats.of_family(frames.runs, "language"))
    if KL not in runs or REWARD not in runs:
        return []
    both = runs[np.isfinite(runs[[REWARD, KL]].astype(float)).all(axis=1)]
    return list(zip(axes.grids(both, REWARD), axes.grids(both, KL), strict=True))


def in_rows(reward: Grid, kl: Grid) -> pd.DataFrame:
    """Lay a pair of grids out as a row per cell and seed, in the order of the axes: label, reward, kl, run_keys, seed.

    Beside them stand the columns that say what the numbers are of.
    """
    names = [axis.key for axis in reward.axes]
    kept = [*names, "seed", *(name for name in axes.KEPT if name not in names), "run_keys"]
    joined = reward.runs[[*kept, "value"]].rename(columns={"value": "reward"})
    joined = joined.merge(kl.runs[[*names, "seed", "value"]].rename(columns={"value": "kl"}), on=[*names, "seed"])
    order = [joined[axis.key].map({word: place for place, word in enumerate(axis.labels)}) for axis in reward.axes]
    keys = pd.concat([*order, joined["seed"]], axis=1)
    joined = joined.loc[keys.sort_values(list(keys.columns)).index].reset_index(drop=True)
    named = joined.assign(label=[label(row, names) for row in joined.to_dict("records")])
    return named.sort_values("label", kind="stable", ignore_index=True) if set(names) == CONTROL else named


def label(row: dict, names: list[str]) -> str:
    """Name a setting by the values of its axes, and the control of the KL in words where it is what differs."""
    if set(names) == CONTROL:
        return control_in_words(row[INITIAL], row[TARGET])
    return ", ".join(f"{name.rpartition('.')[2]}={row[name]}" for name in names)


def control_in_words(initial: str, target: str) -> str:
    """Say how a KL penalty is controlled: adaptively where it has a target, not at all where beta is 0."""
    if target != axes.UNSET:
        return f"adaptive beta, from {initial}, target {target} nats"
    return "no KL penalty" if float(initial) == 0 else f"constant beta {initial}"
