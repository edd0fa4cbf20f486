"""Algorithms that learn fixed responses against the policy that they began with (Zhu et al. 2023, Figure 9).

Final test reward and KL to the start of a sweep, a row per algorithm; ILQL also as it decodes with b = 1 and b = 4.
Seeds, mean and 95 % interval.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.drawing import layout, outcome_rows, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing.wanted import APA_OFFLINE
from analysis.settings import AFTER_SFT
from analysis.statistics import offline, stats
from analysis.statistics.frames import Frames

METRICS = offline.METRICS
WANTED = APA_OFFLINE


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each sweep and panel with such a run."""
    for here in stats.parts(offline.ends(frames), stats.SWEEP_PANEL):
        yield titled(picture, here)


def picture(ends: pd.DataFrame) -> Drawn:
    """Draw one sweep and panel; `ends` is what `offline.ends` returns."""
    panel, (sweep,) = layout.single_panel(ends), ends[stats.HELD].unique()
    data = outcome_rows.reduced(_rows(ends))
    notes = outcome_rows.notes(data)
    if (data["label"] == _start_label(ends)).any():
        notes.append("The start: the evaluation before the first step; its KL is 0 by definition.")
    else:
        notes.append("Runs of a seed began with different policies, so that there is no common start.")
    if (ends["decoded"] != "").any():
        notes.append(
            "With b, action values shift what is decoded, whose KL is not measured; without, it is the policy."
        )
    caption = layout.runs_caption(notes, data["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, outcome_rows.height(data), caption)
        outcome_rows.draw(plots, data)
        plots.suptitle(f"{sweep}  ·  {style.panel_title(*panel)}")
    return Drawn(layout.file_name(f"offline-{sweep}", panel), figure, data)


def _rows(ends: pd.DataFrame) -> pd.DataFrame:
    """Put the start first, then every algorithm and way of decoding: label, seed, reward, kl, run_keys."""
    order = style.algo_order(list(ends["algo"]))
    ranked = ends.assign(rank=ends["algo"].map(order.index)).sort_values(["rank", "variant", "decoded", "seed"])
    shifted = set(ends.loc[ends["decoded"] != "", "algo"])
    plain = ranked["algo"].isin(shifted) & (ranked["decoded"] == "")
    ranked = ranked.assign(decoded=ranked["decoded"].mask(plain, "policy alone"))
    named = zip(ranked["algo"], ranked["variant"], ranked["decoded"], ranked["heuristic"], strict=True)
    labels = [_label(*each) for each in named]
    kept = [*stats.PANEL, "algo", "heuristic", "variant", "seed"]
    rows = ranked[kept].assign(label=labels, reward=ranked["end"], kl=ranked["kl"], run_keys=ranked["run_key"])
    began = offline.starts(ends).assign(label=_start_label(ends), algo=offline.START, heuristic="none", variant="")
    began[stats.PANEL] = np.array(layout.single_panel(ends), dtype=object)
    return pd.concat([began[rows.columns], rows], ignore_index=True) if len(began) else rows


def _start_label(ends: pd.DataFrame) -> str:
    return f"start: {' or '.join(sorted(ends['began'].unique()))}"


def _label(algo: str, variant: str, decoded: str, heuristic: str) -> str:
    words = [layout.setting_label(algo, variant), decoded]
    began = "none" if heuristic == AFTER_SFT else heuristic  # which the start says
    return layout.with_beginning(", ".join(filter(None, words)), began)
