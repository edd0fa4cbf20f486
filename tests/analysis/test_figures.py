"""What is drawn, as numbers: golden CSVs, nothing non-finite, nothing mixed."""

import math
from pathlib import Path

import builder
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import everything, load
from analysis.drawing.save import Drawn, save
from analysis.figures import learning_curves, reward_scatter
from analysis.statistics import stats

GOLDEN = Path(__file__).parent / "golden"


def drawn_from(outputs: Path) -> dict[str, Drawn]:
    kept, _ = stats.one_run_per_seed(load.load_runs(outputs))
    written = everything.draw(everything.read(outputs, None, kept))
    return {drawn.name: drawn for drawn in written if isinstance(drawn, Drawn)}


@pytest.fixture(scope="module")
def drawn(outputs: Path) -> dict[str, Drawn]:
    return drawn_from(outputs)


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_there_are_curves_and_a_scatter_for_each_dataset(drawn: dict[str, Drawn]) -> None:
    suffixes = ("imdb-gpt2_mini-mini-bundled", "narrativeqa-t5_mini-mini-bundled")
    names = [f"{kind}-{name}" for kind in ("learning_curves", "reward_scatter") for name in suffixes]
    assert {*names, "reward_change_correlation-mini-bundled"} <= set(drawn)


@pytest.mark.parametrize("kind", ["learning_curves", "reward_scatter"])
def test_the_drawn_numbers_equal_the_golden_ones(drawn: dict[str, Drawn], kind: str) -> None:
    name = f"{kind}-narrativeqa-t5_mini-mini-bundled"
    golden = pd.read_csv(GOLDEN / f"{name}.csv", dtype={"cell": str, "run_key": str}, keep_default_na=False)
    pd.testing.assert_frame_equal(
        drawn[name].data.astype(golden.dtypes), golden, rtol=1e-9, atol=1e-9, check_dtype=False
    )


def test_the_lines_in_the_axes_are_the_means_in_the_csv(drawn: dict[str, Drawn]) -> None:
    curves = drawn["learning_curves-narrativeqa-t5_mini-mini-bundled"]
    for axes, metric in zip(curves.figure.axes, learning_curves.METRICS, strict=True):
        rows = curves.data[curves.data["metric"] == metric]
        expected = sorted(group["mean"].tolist() for _, group in rows.groupby("cell"))
        assert sorted(line.get_ydata().tolist() for line in axes.get_lines()) == expected


def test_title_and_caption_say_scale_source_seeds_and_runs(drawn: dict[str, Drawn]) -> None:
    curves = drawn["learning_curves-narrativeqa-t5_mini-mini-bundled"]
    words = texts(curves.figure)
    assert "scale mini" in words and "bundled data" in words
    assert "APA, alone (n=2)" in words and "PPO, alone (n=3)" in words
    assert all(key in words for key in curves.data["run_keys"].iloc[0].split())


def test_the_scatter_says_the_share_of_vanishing_prompts(drawn: dict[str, Drawn]) -> None:
    words = texts(drawn["reward_scatter-narrativeqa-t5_mini-mini-bundled"].figure)
    assert "75% → 75% (n=2)" in words and "20% → 20% (n=3)" in words


def test_every_panel_of_a_ragged_scatter_has_its_scale(tmp_path: Path) -> None:
    for algo, heuristic in (("ppo", "none"), ("apa", "none"), ("sft", "none"), ("ppo", "partial_sft")):
        builder.write_run(tmp_path, builder.config("imdb", algo, heuristic, 0))
    figure = drawn_from(tmp_path)["reward_scatter-imdb-gpt2_mini-mini-bundled"].figure
    panels = [axes for axes in figure.findobj(Axes) if axes.get_visible()]
    assert len(panels) == 4
    assert all(axes.xaxis.label.get_visible() and axes.get_xlabel() for axes in panels)
    assert all(axes.xaxis.get_tick_params()["labelbottom"] for axes in panels)


def test_infinity_and_nan_are_never_drawn(tmp_path: Path) -> None:
    folder = builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0))
    rows = [(1, {"reward/mean": 0.1, "policy/kl": 1.0}), (2, {"reward/mean": math.nan, "policy/kl": math.inf})]
    (folder / "metrics.jsonl").write_text(builder.log_lines(rows))
    curves = drawn_from(tmp_path)["learning_curves-imdb-gpt2_mini-mini-bundled"]
    assert np.isfinite(curves.data[["mean", "min", "max"]].to_numpy()).all()
    assert "2 NaN or infinite values are not drawn" in texts(curves.figure).replace("\n", " ")
    save(curves, tmp_path / "figures")


@pytest.mark.parametrize("column", ["scale", "source", "data", "model"])
def test_a_figure_of_two_kinds_is_refused(outputs: Path, column: str) -> None:
    metrics = load.load_metrics(outputs)
    metrics = metrics[metrics["data"] == "imdb"]
    metrics.loc[metrics["seed"] == 0, column] = "other"
    with pytest.raises(ValueError, match="one figure shows one"):
        learning_curves.picture(stats.curves(metrics, learning_curves.METRICS), {})


def test_runs_of_two_sources_give_two_figures(tmp_path: Path) -> None:
    for source in ("hub", "bundled"):
        builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0, data__source=source))
    names = [name for name in drawn_from(tmp_path) if name.startswith("learning_curves")]
    assert sorted(names) == [f"learning_curves-imdb-gpt2_mini-mini-{source}" for source in ("bundled", "hub")]


def test_settings_of_one_algorithm_get_lines_of_their_own(tmp_path: Path) -> None:
    for lam in (0.1, 1.0):
        builder.write_run(tmp_path, builder.config("imdb", "apa", "none", 0, algo__loss__lam=lam))
    words = texts(drawn_from(tmp_path)["learning_curves-imdb-gpt2_mini-mini-bundled"].figure)
    assert "APA, alone, lam=0.1 (n=1)" in words and "APA, alone, lam=1.0 (n=1)" in words


def test_saving_twice_gives_the_same_csv_and_all_three_files(drawn: dict[str, Drawn], tmp_path: Path) -> None:
    one = drawn["learning_curves-imdb-gpt2_mini-mini-bundled"]
    first, second = save(one, tmp_path / "a"), save(one, tmp_path / "b")
    assert [path.suffix for path in first] == [".pdf", ".png", ".csv"]
    assert all(path.stat().st_size > 1000 for path in first)
    assert first[2].read_bytes() == second[2].read_bytes()


def test_no_text_is_smaller_than_eight_points(drawn: dict[str, Drawn]) -> None:
    for each in drawn.values():
        sizes = [t.get_fontsize() for t in each.figure.findobj(lambda a: hasattr(a, "get_fontsize")) if t.get_text()]
        assert min(sizes) >= 8


def test_a_marker_of_the_scatter_says_how_many_prompts_it_hides(drawn: dict[str, Drawn]) -> None:
    scatter = drawn["reward_scatter-narrativeqa-t5_mini-mini-bundled"]
    counted = sum(
        round(float(((area / reward_scatter.ONE) ** 2).sum()))
        for axes in scatter.figure.axes
        for area in (points.get_sizes() for points in axes.collections if hasattr(points, "get_sizes"))
    )
    assert counted == len(scatter.data)
    together = pd.DataFrame({"reward_std": [0.0, 0.001, 0.3], "reward_mean": [0.0, 0.001, 0.5]})
    assert reward_scatter._places(together)["prompts"].tolist() == [2, 1]
