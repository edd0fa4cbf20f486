"""Figures against the axes of a sweep: which axes, which numbers, which kind of picture."""

import math
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.axes import Axes as Plot
from sweeps.finished import Y, done, job_of

from analysis import draw, load
from analysis.drawing.axes import picture
from analysis.drawing.save import Drawn
from analysis.figures import sweep_axes
from analysis.statistics import axes, stats
from analysis.statistics.frames import Frames
from rftlab import intervals


def sweep(outputs: Path, lrs: tuple = (1e-5, 1e-4, 1e-3), betas: tuple = (0.0,), seeds: int = 3) -> pd.DataFrame:
    for lr in lrs:
        for beta in betas:
            for seed in range(seeds):
                done(job_of(outputs, seed, lr, beta), 0.5 + 0.1 * seed + beta + 100 * lr)
    return stats.one_run_per_seed(load.load_runs(outputs))[0]


def only(runs: pd.DataFrame, **keywords: object) -> axes.Grid:
    (grid,) = axes.grids(runs, **keywords)  # ty: ignore[invalid-argument-type]
    return grid


def plot_of(drawn: Drawn) -> Plot:
    return drawn.figure.subfigs[0].axes[0]


def test_one_numeric_axis_that_grows_by_ratios_is_logarithmic(tmp_path: Path) -> None:
    grid = only(sweep(tmp_path))
    assert [axis.key for axis in grid.axes] == ["optimizer.lr"]
    plot = plot_of(picture(grid))
    assert plot.get_xscale() == "log" and plot.get_xlabel() == "optimizer.lr"
    assert [text.get_text() for text in plot.get_xticklabels()] == ["1e-05", "0.0001", "0.001"]


def test_what_is_drawn_is_the_mean_with_the_products_interval(tmp_path: Path) -> None:
    data = picture(only(sweep(tmp_path))).data
    row = data[data["optimizer.lr"] == "0.001"].iloc[0]
    found = intervals.mean([0.6, 0.7, 0.8])
    assert (row["mean"], row["low"], row["high"], row["n"]) == pytest.approx((found.value, found.low, found.high, 3))
    assert len(data) == 9 and set(data["seed"]) == {0, 1, 2}


def test_two_numeric_axes_are_a_heat_map_with_intervals_in_words(tmp_path: Path) -> None:
    drawn = picture(only(sweep(tmp_path, (1e-4, 1e-3), (0.0, 0.1))))
    words = [text.get_text() for text in plot_of(drawn).texts]
    assert len(words) == 4 and all("n=3" in text and "[" in text for text in words)


def test_one_seed_says_that_it_has_no_interval(tmp_path: Path) -> None:
    drawn = picture(only(sweep(tmp_path, (1e-4, 1e-3), (0.0, 0.1), seeds=1)))
    assert all("one seed: no interval" in text.get_text() for text in plot_of(drawn).texts)


def test_a_zero_among_values_is_spaced_evenly_and_evenly_spaced_numbers_are_linear() -> None:
    assert not axes.Axis("beta", (0.0, 0.01, 0.1)).geometric
    assert axes.Axis("lr", (1e-4, 5e-4)).geometric and axes.Axis("n", (2, 4, 8)).geometric
    assert not axes.Axis("n", (10, 20, 30)).geometric and not axes.Axis("algo", ("apa", "ppo")).numeric


def test_words_are_not_joined_by_a_line(tmp_path: Path) -> None:
    for optimizer in ("adamw", "sgd"):
        for seed in range(2):
            words = [f"optimizer={optimizer}"]
            done(job_of(tmp_path, seed, optimizer={"name": optimizer, "lr": 1e-4}, overrides=words), 0.1 * seed)
    grid = only(stats.finished(load.load_runs(tmp_path)))
    assert [axis.key for axis in grid.axes] == ["optimizer"]
    for drawn in (picture(grid), picture(grid, "optimizer"), picture(grid, "optimizer", "optimizer")):
        means = [line for line in plot_of(drawn).lines if line.get_markersize() == 6]
        assert means and all(line.get_linestyle() == "None" or len(line.get_xydata()) == 1 for line in means)


def test_settings_that_are_left_out_are_averaged_within_seeds(tmp_path: Path) -> None:
    runs = sweep(tmp_path, (1e-4, 1e-3), (0.0, 0.2))
    grid = only(runs, keys=["optimizer.lr"])
    assert grid.averaged == ("algo.loss.beta",) and set(grid.cells["n"]) == {3}
    assert grid.cells["mean"].to_list() == pytest.approx([0.6 + 0.1 + 0.01, 0.6 + 0.1 + 0.1])


def test_a_run_that_diverged_is_in_no_mean(tmp_path: Path) -> None:
    sweep(tmp_path, (1e-4, 1e-3))
    done(job_of(tmp_path, 7, 1e-3), math.nan)
    runs = stats.finished(load.load_runs(tmp_path))
    assert set(only(runs).cells["n"]) == {3}


def test_make_figures_draws_every_sweep_with_an_axis(tmp_path: Path) -> None:
    runs = sweep(tmp_path)
    (drawn,) = sweep_axes.draw(Frames(runs, runs, runs, runs))
    assert drawn.name == "sweep_axes-sweep-optimizer.lr-imdb-mini-bundled" and len(drawn.keys) == 9


def test_a_difference_of_rounding_fills_no_axis(tmp_path: Path) -> None:
    for lr, value in ((1e-4, 0.8892), (1e-3, 0.8896)):
        done(job_of(tmp_path, 0, lr), value)
    (plot,) = picture(only(stats.finished(load.load_runs(tmp_path)))).figure.axes
    low, high = plot.get_ylim()
    assert low < 0.8892 and high > 0.8896 and high - low >= 0.04


def test_two_rewards_are_two_figures(tmp_path: Path) -> None:
    for source in ("asset:sentiment", "asset:other"):
        for lr in (1e-4, 1e-3):
            done(job_of(tmp_path, 0, lr, reward={"source": source}), lr)
    runs = stats.finished(load.load_runs(tmp_path))
    assert len({drawn.name for drawn in sweep_axes.draw(Frames(runs, runs, runs, runs))}) == 2


def test_draw_writes_what_was_chosen_and_refuses_what_no_run_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(tmp_path / "out", (1e-4, 1e-3), (0.0, 0.1), seeds=2)
    places = ["--outputs", str(tmp_path / "out"), "--figures", str(tmp_path / "figures")]
    assert draw.main(["--x", "optimizer.lr", "--hue", "algo.loss.beta", "--y", Y, *places]) == 0
    (path,) = (tmp_path / "figures").glob("*.csv")
    assert path.name == "draw-eval_test_reward-sweep-optimizer.lr-algo.loss.beta-imdb-mini-bundled.csv"
    for wrong, key in ((["--x", "optimizer.rl"], "--x"), (["--x", "optimizer.lr", "--y", "nothing"], "--y")):
        assert draw.main([*wrong, *places]) == 2
        assert key in capsys.readouterr().err
