"""Curves of cells: together up to four, else small plots by a setting or by cell, with intervals over seeds."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import builder
import kinds
import numpy as np
import pandas as pd
import pytest
import seaborn as sns

from analysis import everything, load
from analysis.drawing import curves, layout, style
from analysis.drawing.save import Drawn
from analysis.statistics import stats
from rftlab import intervals

RATES = ("0.0001", "0.0003", "0.001")
COEFS = ("0.0", "0.01", "0.03")


def cells_of(variants: Sequence[str], algos: Sequence[str] | None = None) -> pd.DataFrame:
    """Return rows as `layout.cells` makes them, of two seeds each."""
    names = algos or ["ppo"] * len(variants)
    rows = pd.DataFrame({"algo": names, "variant": variants, "heuristic": "none", "counts": "iteration"})
    rows = rows.assign(cell=[f"c{i}" for i in range(len(rows))], min=2, max=2, label=[f"cell {i}" for i in rows.index])
    return rows.assign(hue=layout.hue(rows))


def grid() -> pd.DataFrame:
    return cells_of([f"optimizer.lr={lr} algo.loss.entropy_coef={c}" for lr in RATES for c in COEFS])


def test_up_to_four_cells_share_a_plot() -> None:
    parts = curves.facets(cells_of([f"optimizer.lr={lr}" for lr in ("1e-05", *RATES)]))
    assert [title for title, _ in parts.plots] == [""]
    assert len(parts.handles) == 4


def test_colours_follow_the_order_of_one_number() -> None:
    parts = curves.facets(cells_of([f"optimizer.lr={lr}" for lr in (RATES[2], RATES[0], RATES[1])]))
    scale = sns.color_palette("viridis", 4)
    assert [parts.looks.palette[f"ppo optimizer.lr={lr}"] for lr in RATES] == scale[:3]


def test_two_settings_are_small_plots_of_one_and_ordered_colours_of_the_other() -> None:
    parts = curves.facets(grid())
    assert [title for title, _ in parts.plots] == [f"lr={lr} (n=2)" for lr in RATES]
    assert [len(members) for _, members in parts.plots] == [3, 3, 3]
    assert [handle.get_label() for handle in parts.handles] == [f"entropy_coef={c}" for c in COEFS]
    for first, second in itertools.pairwise(RATES):  # a value has one colour in all small plots
        for c in COEFS:
            hues = [f"ppo optimizer.lr={lr} algo.loss.entropy_coef={c}" for lr in (first, second)]
            assert parts.looks.palette[hues[0]] == parts.looks.palette[hues[1]]


def test_algorithms_and_a_number_are_a_small_plot_per_algorithm() -> None:
    cells = cells_of([f"optimizer.lr={lr}" for lr in RATES] * 2, ["ppo"] * 3 + ["apa"] * 3)
    assert [title for title, _ in curves.facets(cells).plots] == ["PPO (n=2)", "APA (n=2)"]


def test_heuristics_are_small_plots_whose_algorithms_keep_their_colours() -> None:
    cells = cells_of([""] * 6, ["ppo", "apa"] * 3)
    cells = cells.assign(heuristic=["none", "none", "partial_sft", "partial_sft", "other", "other"])
    parts = curves.facets(cells)
    assert [title for title, _ in parts.plots] == ["alone (n=2)", "after partial SFT (n=2)", "other (n=2)"]
    assert parts.looks.palette == style.colours(["ppo", "apa"])


def test_an_algorithm_with_one_setting_keeps_its_colour_where_others_have_several() -> None:
    cells = cells_of(["lam=0.1", "lam=1.0", "preset=like"], ["apa", "apa", "ppo"])
    assert list(cells["hue"]) == ["apa lam=0.1", "apa lam=1.0", "ppo"]


def test_more_settings_are_a_small_plot_per_cell_with_the_others_in_grey() -> None:
    five = cells_of([f"optimizer.lr={lr}" for lr in ("1e-05", "3e-05", *RATES)])
    parts = curves.facets(five)
    assert parts.around
    assert [members for _, members in parts.plots] == [(cell,) for cell in five["cell"]]
    assert "Grey" in " ".join(parts.notes)


def test_no_cell_is_lost_or_drawn_twice() -> None:
    for cells in (grid(), cells_of(RATES), cells_of([f"a={i % 3} b={i}" for i in range(11)])):
        drawn = [cell for _, members in curves.facets(cells).plots for cell in members]
        assert sorted(drawn) == sorted(cells["cell"])


def write_grid(outputs: Path) -> None:
    """Write PPO on IMDB over learning rate and entropy coefficient, three seeds each; rewards are made up."""
    for i, lr in enumerate(RATES):
        for j, coef in enumerate(COEFS):
            for seed in range(3):
                resolved = builder.config("imdb", "ppo", "none", seed, sweep="grid")
                words = [f"optimizer.lr={lr}", f"algo.loss.entropy_coef={coef}"]
                resolved["overrides"] = [*resolved.get("overrides", []), *words]
                resolved["optimizer"] = resolved["optimizer"] | {"lr": float(lr)}
                loss = resolved["algo"].get("loss", {}) | {"entropy_coef": float(coef)}
                resolved["algo"] = resolved["algo"] | {"loss": loss}
                rows = [
                    (step, {"reward/mean": 0.5 + 0.02 * (i - j / 2) * step**0.5 + 0.01 * seed, "policy/kl": 0.1 * step})
                    for step in range(1, 21)
                ]
                kinds.write(outputs, resolved, metrics=rows)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    outputs = tmp_path_factory.mktemp("grid") / "outputs"
    write_grid(outputs)
    kept, _ = stats.one_run_per_seed(load.load_runs(outputs))
    (drawn,) = (
        each
        for each in everything.draw(everything.read(outputs, None, kept))
        if isinstance(each, Drawn) and each.name.startswith("learning_curves")
    )
    return drawn


def test_a_grid_of_nine_cells_has_three_small_plots_for_each_metric(picture: Drawn) -> None:
    plots = [axes for axes in picture.figure.axes if axes.axison]
    assert len(plots) == 6
    assert all(len(axes.get_lines()) == 3 for axes in plots)
    assert {axes.get_ylim() for axes in plots[:3]} == {plots[0].get_ylim()}  # small plots of a metric share an axis
    assert {axes.get_ylim() for axes in plots[3:]} != {plots[0].get_ylim()}
    drawn = sorted(tuple(line.get_ydata()) for axes in plots for line in axes.get_lines())
    rows = picture.data.groupby(["cell", "metric"])
    assert drawn == sorted(tuple(group.sort_values("step")["mean"]) for _, group in rows)


def test_bars_are_the_interval_of_the_mean_over_seeds(picture: Drawn) -> None:
    rows = picture.data[(picture.data["metric"] == "reward/mean") & (picture.data["step"] == 20)]
    row = rows.iloc[0]
    half = intervals.half_width([row["mean"] - 0.01, row["mean"], row["mean"] + 0.01])
    assert row["high"] - row["mean"] == pytest.approx(half)
    assert row["mean"] - row["low"] == pytest.approx(half)
    ends = [
        segment[:, 1]
        for axes in picture.figure.axes
        for lines in axes.collections
        if hasattr(lines, "get_segments")
        for segment in lines.get_segments()
    ]
    assert any(np.allclose(end, (row["low"], row["high"])) for end in ends)


def test_one_seed_has_no_bars_and_the_caption_says_so() -> None:
    alone = seeds(n=1, low=math.nan, high=math.nan)
    assert layout.seeds_note(alone) == ["Line: the one seed of each setting, without an interval."]
    assert "One seed has no interval." in layout.seeds_note(pd.concat([alone, seeds(n=3, low=0.4, high=0.6)]))
    assert layout.seeds_note(seeds(n=3, low=0.4, high=0.6)) == [layout.SEEDS_NOTE]


def test_a_long_bar_leaves_room_for_the_curves_and_the_caption_says_that_it_is_cut() -> None:
    rows = seeds(n=3, low=-9.0, high=9.0)
    low, high = layout.limits(rows)
    assert 0.3 < low < 0.4
    assert 0.6 < high < 0.7
    assert "cut" in layout.seeds_note(rows)[-1]
    low, high = layout.limits(seeds(n=3, low=0.44, high=0.56))
    assert 0.40 < low < 0.42
    assert 0.58 < high < 0.60


def test_an_axis_of_its_own_cuts_what_leaves_it_and_nothing_else() -> None:
    rows = seeds(n=3, low=0.1, high=0.9)
    assert "cut" in layout.seeds_note(rows)[-1]
    assert layout.seeds_note(rows, (0.0, 1.0)) == [layout.SEEDS_NOTE]
    assert "cut" in layout.seeds_note(rows, (0.2, 1.0))[-1]


def seeds(*, n: int, low: float, high: float) -> pd.DataFrame:
    """Return the reduction of a metric at one step, whose seeds go from 0.42 to 0.58."""
    return pd.DataFrame({"metric": ["m"], "n": [n], "min": [0.42], "max": [0.58], "low": [low], "high": [high]})
