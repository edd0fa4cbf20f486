"""Runs of every kind in one outputs folder: each gets its figures, and none changes those of another."""

import math
from pathlib import Path

import builder
import kinds
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis import everything, learned, load, make_figures
from analysis.drawing.save import Drawn, save
from analysis.figures import controlled, learning_curves
from analysis.statistics import stats
from analysis.statistics.controlled import group_curves

LANGUAGE = ["learning_curves-imdb-gpt2_mini-mini-bundled", "reward_scatter-imdb-gpt2_mini-mini-bundled"]
LANGUAGE += ["reward_change_correlation-mini-bundled"]


def draw(outputs: Path) -> dict[str, Drawn]:
    kept, _ = stats.one_run_per_seed(load.load_runs(outputs))
    written = everything.draw(everything.read(outputs, None, kept))
    return {drawn.name: drawn for drawn in written if isinstance(drawn, Drawn)}


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return " ".join(found).replace("\n", " ")


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an outputs folder with runs of all families."""
    outputs = tmp_path_factory.mktemp("kinds")
    for algo in ("ppo", "sft"):
        kinds.write_language(outputs, "imdb", algo, 0, 0.3, 0.5, during=algo == "ppo")
    for seed in (0, 1):
        for algo in ("expected_reinforce", "sft", "pretrain"):
            kinds.write_controlled(outputs, "mnist", algo, seed)
    kinds.write_controlled(outputs, "mnist", "reinforce", wrong=0.5)
    kinds.write_controlled(outputs, "stsb", "sft", optimizer="sgd", wrong=0.25)
    kinds.write_theory(outputs)
    builder.write_run(outputs, builder.config("imdb", "pretrain", "none", 0, model__policy={"init": "random"}))
    return outputs


@pytest.fixture(scope="module")
def drawn(every_kind: Path) -> dict[str, Drawn]:
    return draw(every_kind)


def test_files_are_named_after_what_their_figures_show(drawn: dict[str, Drawn]) -> None:
    assert set(drawn) >= {
        *LANGUAGE,
        "vanishing_over_training-imdb-gpt2_mini-mini-bundled",
        "rft_relative_to_sft-mini-bundled",
        "rft_relative_to_sft_percentiles-mini-bundled",
        "controlled-adam-default_rewards-mnist-mlp-mini-bundled",
        "controlled-adam-high_initial_reward-mnist-mlp-mini-bundled",
        "controlled-sgd-wrong_reward_0.25-stsb-bert_mini-mini-bundled",
        "time_separation-one_token-softmax-mini-generated",
        "gradient_bound-one_token-softmax-mini-generated",
        "gradient_bound_sampled-narrativeqa-t5_mini-mini-bundled",
        "ppo_gradient-one_token-softmax-mini-generated",
    }


def test_every_csv_names_the_runs_that_it_used(drawn: dict[str, Drawn], every_kind: Path) -> None:
    known = set(load.load_runs(every_kind)["run_key"])
    for each in drawn.values():
        column = "run_keys" if "run_keys" in each.data else "run_key"
        assert {key for keys in each.data[column] for key in keys.split()} <= known, each.name


def test_no_text_is_smaller_than_eight_points(drawn: dict[str, Drawn]) -> None:
    for each in drawn.values():
        artists = each.figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))
        assert min(text.get_fontsize() for text in artists if text.get_text()) >= 8


def test_the_figures_of_language_runs_do_not_change_beside_others(
    every_kind: Path, drawn: dict, tmp_path: Path
) -> None:
    for algo in ("ppo", "sft"):
        kinds.write_language(tmp_path, "imdb", algo, 0, 0.3, 0.5, during=False)
    alone = draw(tmp_path)
    for name in LANGUAGE:
        pd.testing.assert_frame_equal(alone[name].data, drawn[name].data, check_dtype=False)
    assert "vanishing_over_training-imdb-gpt2_mini-mini-bundled" not in alone


def test_the_lines_of_a_controlled_figure_are_the_means_in_its_csv(drawn: dict[str, Drawn]) -> None:
    one = drawn["controlled-adam-default_rewards-mnist-mlp-mini-bundled"]
    panels = [axes for axes in one.figure.axes if axes.get_lines()]
    lines = sorted(tuple(line.get_ydata()) for axes in panels for line in axes.get_lines())
    assert lines == sorted(tuple(group["mean"]) for _, group in one.data.groupby(["cell", "metric"]))
    words = texts(one.figure)
    assert "RFT, expected reward (n=2)" in words and "SFT (n=2)" in words and "optimizer adam" in words


@pytest.mark.parametrize("column", ["optimizer", "wrong_reward", "scale", "source", "model"])
def test_a_controlled_figure_of_two_settings_is_refused(every_kind: Path, column: str) -> None:
    curves = group_curves(load.load_metrics(every_kind, ["controlled"]))
    curves = curves[(curves["data"] == "mnist") & (curves["wrong_reward"] == -1)].reset_index(drop=True)
    curves.loc[0, column] = 7.0 if column == "wrong_reward" else "other"
    with pytest.raises(ValueError, match="one figure shows one"):
        controlled.picture(curves)


def test_zeros_infinity_and_nan_are_not_drawn_and_named(tmp_path: Path) -> None:
    rows = [
        (1, {"small_std/reward": -1.0, "small_std/reward_std": 0.0, "small_std/grad_norm": math.inf}),
        (2, {"small_std/reward": math.nan, "small_std/reward_std": 0.1, "small_std/grad_norm": 1.0}),
    ]
    kinds.write(tmp_path, kinds.controlled("mnist", "sft"), metrics=rows)
    one = draw(tmp_path)["controlled-adam-default_rewards-mnist-mlp-mini-bundled"]
    words = texts(one.figure)
    assert "1 values of zero are not on the logarithmic axes" in words
    assert "2 NaN or infinite values are not drawn" in words
    assert np.isfinite(one.data["mean"]).all()
    save(one, tmp_path / "figures")


def test_the_caption_counts_violations_and_they_are_ringed(tmp_path: Path) -> None:
    cases = kinds.bound_cases(np.random.default_rng(0), 20).drop(columns=["input_id", "group", "n_labels"])
    cases.loc[:2, "grad_norm"] = cases.loc[:2, "bound_std"] * 2
    kinds.write(tmp_path, kinds.theory("gradient_bound"), cases=cases)
    one = draw(tmp_path)["gradient_bound-one_token-softmax-mini-generated"]
    words = texts(one.figure)
    assert "STD: 3 of 20 violate the bound" in words and "STD^(2/3): 0 of 20" in words
    assert "1 with a norm under 1e-12, not drawn" in words and "violates the bound" in words
    save(one, tmp_path / "figures")


def test_a_bound_of_zero_norms_alone_is_drawn_empty(tmp_path: Path) -> None:
    cases = kinds.bound_cases(np.random.default_rng(0), 1)
    kinds.write(tmp_path, kinds.theory("gradient_bound"), cases=cases)
    save(draw(tmp_path)["gradient_bound-one_token-softmax-mini-generated"], tmp_path / "figures")


def test_settings_of_one_theory_run_get_figures_of_their_own(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for labels in (6, 10):
        setting = kinds.theory("time_separation") | {
            "algo": {"name": "time_separation", "loss": None, "n_labels": labels}
        }
        kinds.write(tmp_path, setting, cases=kinds.separation_cases(generator))
    cells = sorted(set(load.load_runs(tmp_path)["cell"]))
    name = "time_separation-one_token-softmax-mini-generated"
    assert sorted(draw(tmp_path)) == [f"{name}-{cell}" for cell in cells]


def test_the_slopes_in_the_legend_are_those_of_the_flow(drawn: dict[str, Drawn]) -> None:
    words = texts(drawn["time_separation-one_token-softmax-mini-generated"].figure)
    assert "gradient flow: slope -2.000 [-2.000, -2.000]" in words
    assert "gradient flow: slope 1.600 [1.600, 1.600]" in words
    assert "off the flow" in words


def test_a_correlation_that_does_not_exist_says_why_in_the_figure(tmp_path: Path) -> None:
    folder = kinds.write_language(tmp_path, "imdb", "ppo", 0, 0.3, 0.5)
    prompts = pd.read_parquet(folder / "prompts.parquet").assign(reward_std=0.0)
    prompts.to_parquet(folder / "prompts.parquet", index=False)
    words = texts(draw(tmp_path)["reward_change_correlation-mini-bundled"].figure)
    assert "undefined: the std is the same for every prompt" in words


def test_cases_are_read_with_their_own_columns_and_only_where_there_are_some(every_kind: Path) -> None:
    cases = load.load_cases(every_kind)
    assert set(cases["algo"]) == {"time_separation", "gradient_bound", "ppo_gradient", "diagnose"}
    assert {"objective", "tv", "grad_norm", "grad_error", "run_key", "cell"} <= set(cases.columns)
    assert load.load_cases(every_kind, ["controlled"]).empty


def test_families_and_sources_of_runs_of_every_kind(every_kind: Path) -> None:
    runs = load.load_runs(every_kind)
    families = runs.groupby("family")["algo"].apply(lambda algos: sorted(set(algos))).to_dict()
    assert families == {
        "language": ["ppo", "sft"],
        "controlled": ["expected_reinforce", "pretrain", "reinforce", "sft"],
        "theory": ["gradient_bound", "ppo_gradient", "time_separation"],
        "diagnose": ["diagnose"],
        "pretraining": ["pretrain"],
    }
    assert runs.loc[runs["family"] != "controlled", "wrong_reward"].isna().all()


def test_a_run_whose_data_names_no_source_is_of_generated_data(tmp_path: Path) -> None:
    kinds.write(tmp_path, kinds.theory("ppo_gradient", data={"name": "one_token"}))
    assert list(load.load_runs(tmp_path)["source"]) == ["generated"]


def test_metrics_can_be_read_by_name(every_kind: Path) -> None:
    frame = load.load_metrics(every_kind, names=["reward/mean", "small_std/reward"])
    assert set(frame["metric"]) == {"reward/mean", "small_std/reward"}


def test_the_gaps_of_language_figures_are_those_of_language_runs(every_kind: Path) -> None:
    runs = load.load_runs(every_kind)
    language = stats.of_family(runs, "language")
    assert [row["algo"] for row in learning_curves.gaps(runs)] == ["apa"]
    assert learning_curves.gaps(runs) == learning_curves.gaps(language)


def test_learned_speaks_of_language_runs_alone(every_kind: Path, capsys: pytest.CaptureFixture) -> None:
    assert learned.main(["--outputs", str(every_kind)]) == 0
    printed = capsys.readouterr().out
    assert "IMDB" in printed and "MNIST" not in printed and "one_token" not in printed and "diagnose" not in printed
    assert "pretrain" not in printed
    assert learned.main(["--outputs", str(every_kind), "--sweep", "controlled"]) == 2
    assert "no finished run of a language model" in capsys.readouterr().err


def test_the_command_writes_figures_and_tables_of_a_sweep_and_misses_no_other_family(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for algo in ("expected_reinforce", "sft"):
        kinds.write_controlled(tmp_path / "outputs", "mnist", algo)
    where = ["--outputs", str(tmp_path / "outputs"), "--figures", str(tmp_path / "figures")]
    assert make_figures.main([*where, "--strict", "--sweep", "controlled"]) == 0
    assert "missing" not in capsys.readouterr().out
    suffixes = {path.suffix for path in (tmp_path / "figures").iterdir()}
    assert suffixes == {".csv", ".md", ".pdf", ".png", ".tex"}
    assert make_figures.main([*where, "--strict"]) == 1
    assert "experiment=theory/gradient_bound,theory/ppo_gradient,theory/time_separation" in capsys.readouterr().out
