"""`reward/mean` of the rollouts and `policy/kl` to the run's start against the iterations behind the policy.

A colour is an algorithm, a dash and marker a heuristic, a band the minimum to maximum over seeds, a bar the 95 %
interval of their mean; of one scale, source, dataset and model. More than four settings are small plots.
"""

from collections.abc import Iterator, Mapping

import pandas as pd

from analysis.drawing import curves as lines
from analysis.drawing import layout, style
from analysis.drawing.save import Drawn
from analysis.drawing.titles import titled
from analysis.missing.companions import absent_algos
from analysis.missing.coverage import absent_seeds
from analysis.missing.wanted import LANGUAGE
from analysis.statistics import stats
from analysis.statistics.frames import Frames

METRICS = ["reward/mean", "policy/kl"]
WANTED = LANGUAGE
COMPARED = ("ppo", "apa")  # side by side in every one of them


def draw(frames: Frames) -> Iterator[Drawn]:
    """Draw each panel of language runs that logged a finite value."""
    curves = stats.curves(stats.of_family(frames.metrics, "language"), METRICS)
    for here in stats.parts(curves, stats.PANEL):
        if (here["n"] > 0).any():
            yield titled(picture, here, counts=frames.counts)


def gaps(runs: pd.DataFrame) -> list[dict]:
    """List the seeds and algorithms that a panel lacks."""
    language = stats.of_family(runs, "language")
    return [*absent_seeds(language, stats.PANEL), *absent_algos(language, COMPARED)]


def picture(curves: pd.DataFrame, counts: Mapping[str, str]) -> Drawn:
    """Draw reward and KL of one panel: a colour per algorithm, a dash and marker per heuristic.

    `curves` is what `stats.curves` returns, of one scale, source, dataset and model. `counts` maps a cell to what its
    steps count.
    """
    panel = layout.single_panel(curves)
    drawn = curves[curves["n"] > 0].reset_index(drop=True)
    cells = layout.cells(drawn, counts)
    parts = lines.facets(cells)
    notes = [*layout.seeds_note(drawn), *layout.step_note(cells), *layout.nonfinite_note(curves)]
    caption = layout.runs_caption([*notes, *parts.notes], drawn["run_keys"])
    with style.print_style():
        figure, plots = layout.with_caption(style.WIDTH, parts.height(len(METRICS)), caption)
        lines.draw(plots, drawn, cells, parts, {metric: style.LABELS[metric] for metric in METRICS})
        plots.suptitle(style.panel_title(*panel))
    return Drawn(layout.file_name("learning_curves", panel), figure, drawn)
