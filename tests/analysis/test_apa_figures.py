"""Figures and table of the sweeps of docs/apa.md: golden numbers, shared runs, starts, sides, captions."""

import json
import math
from io import StringIO
from pathlib import Path

import apa_runs
import pandas as pd
import pytest

from analysis import everything, load
from analysis.drawing.save import Drawn
from analysis.drawing.table import Table
from analysis.figures import evaluation_curves, offline, reward_and_kl, sweep_axes, win_rates
from analysis.statistics import evaluations, outcomes, stats
from analysis.statistics import win_rates as sides
from analysis.statistics.frames import Frames
from analysis.tables import kl_efficiency
from rftlab import intervals, runs
from rftlab.runs.comparisons import open_comparison

GOLDEN = Path(__file__).parent / "golden"
CURVES = "evaluation_curves-ppo_kl_control-hh-gpt2_mini-mini-bundled"
OFFLINE = "offline-apa_offline-hh-gpt2_mini-mini-bundled"
WINS = "win_rates-stack_exchange-mini-bundled"
LAMBDA = "reward_and_kl-apa_lambda-hh-mini-bundled"
CONTROL = "reward_and_kl-ppo_kl_control-hh-mini-bundled"


def frames_of(outputs: Path, sweeps: list[str] | None = None) -> Frames:
    return everything.read(outputs, sweeps, stats.one_run_per_seed(load.load_runs(outputs, sweeps))[0])


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("apa") / "outputs"
    apa_runs.write_all(folder)
    return folder


@pytest.fixture(scope="module")
def frames(outputs: Path) -> Frames:
    return frames_of(outputs)


@pytest.fixture(scope="module")
def drawn(frames: Frames) -> dict[str, Drawn]:
    files = (evaluation_curves, offline, reward_and_kl, win_rates)
    return {each.name: each for file in files for each in file.draw(frames)}


@pytest.fixture(scope="module")
def table(frames: Frames) -> Table:
    (found,) = kl_efficiency.draw(frames)
    return found


def caption(each: Drawn) -> str:
    (text,) = each.figure.subfigs[1].texts
    return " ".join(text.get_text().split())


@pytest.mark.parametrize("name", [CURVES, OFFLINE, WINS, CONTROL])
def test_the_drawn_numbers_equal_the_golden_ones(drawn: dict[str, Drawn], name: str) -> None:
    words = dict.fromkeys(("cell", "run_key", "a_key", "b_key", "comparison"), str)
    said, golden = (
        pd.read_csv(text, dtype=words, keep_default_na=False, na_values={"bias": "", "kl": ""})
        for text in (StringIO(drawn[name].data.to_csv(index=False)), GOLDEN / f"{name}.csv")
    )
    pd.testing.assert_frame_equal(said, golden, rtol=1e-9, atol=1e-9, check_dtype=False)


def test_the_table_equals_the_golden_one(table: Table) -> None:
    golden = pd.read_csv(GOLDEN / f"{table.name}.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(table.cells, golden)


def test_a_sweep_shows_the_runs_that_it_found_done_in_another(frames: Frames, drawn: dict[str, Drawn]) -> None:
    assert set(drawn[LAMBDA].data["algo.loss.lam"]) == {"0.03", "0.1", "0.3", "1"}
    names = {each.name: each for each in sweep_axes.draw(frames)}
    assert set(names["sweep_axes-apa_lambda-algo.loss.lam-hh-mini-bundled"].data["algo.loss.lam"]) == {
        "0.03", "0.1", "0.3", "1"
    }  # fmt: skip
    held = frames.runs.set_index("sweep").loc["apa_hh"]
    assert set(held[held["algo"] == "apa"]["sweeps"]) == {("apa_hh", "apa_lambda")}
    assert set(held[held["algo"] == "awr"]["sweeps"]) == {("apa_hh",)}


def test_one_sweep_read_alone_draws_no_part_of_another(outputs: Path) -> None:
    alone = frames_of(outputs, ["ppo_kl_control"])
    assert set(evaluations.of_sweeps(alone)[stats.HELD]) == {"ppo_kl_control"}
    assert len(alone.runs) == 9 and alone.comparisons.empty


def test_a_folder_that_is_gone_is_held_by_nobody(tmp_path: Path) -> None:
    others = apa_runs.write_online(tmp_path, "apa_hh", "hh", {"apa": (1.0, 6.0, 0.0)})
    runs.note_elsewhere(tmp_path, "apa_lambda", {"0": others["apa0"], "gone": tmp_path / "apa_hh" / "gone-0"})
    assert runs.held_elsewhere(tmp_path)[others["apa0"]] == ["apa_lambda"]
    assert sorted(load.load_runs(tmp_path)["sweeps"].map(len)) == [1, 1, 2]


def test_a_curve_is_the_held_out_reward_at_evaluations_with_extremes_and_interval(drawn: dict[str, Drawn]) -> None:
    rows = drawn[CURVES].data
    rows = rows[rows["metric"] == evaluations.REWARD]
    assert set(rows["step"]) == set(apa_runs.STEPS) and set(rows["n"]) == {3}
    (end,) = rows[(rows["step"] == 20) & rows["variant"].str.contains("initial=0.0 ")].to_dict("records")
    # without a penalty 0.2 of the gain of 1.2 is left
    seeds = [-0.5 + 0.02 * s + 1.2 * (1 + 0.1 * (s - 1)) * 0.2 for s in range(3)]
    found = intervals.mean(seeds)
    assert [end["mean"], end["low"], end["high"]] == pytest.approx([found.value, found.low, found.high])
    assert [end["min"], end["max"]] == pytest.approx([min(seeds), max(seeds)])
    (left, right) = drawn[CURVES].figure.subfigs[0].axes
    assert left.get_ylabel() == "reward, test prompts" and "KL" in right.get_ylabel()
    assert len(left.lines) == 3 and len(left.collections) == 6  # a band and bars of each


def test_rollouts_between_evaluations_are_no_points(tmp_path: Path) -> None:
    resolved = apa_runs.config("apa_hh", "hh", "ppo", 0)
    rows = [*apa_runs.path_of(1.0, 4.0, 0.0, 0), (7, {"policy/kl": 99.0})]
    apa_runs.write(tmp_path, resolved, sorted(rows, key=lambda row: row[0]))
    (each,) = evaluation_curves.draw(frames_of(tmp_path))
    assert 7 not in set(each.data["step"]) and "the one seed of each setting, without an interval" in caption(each)
    assert each.data["low"].isna().all() and "(n=1)" in each.figure.subfigs[0].legends[0].get_texts()[0].get_text()


def test_each_model_has_its_own_curves_and_a_row_where_sweeps_end(tmp_path: Path) -> None:
    for model, gain in (("small", 0.5), ("large", 1.0)):
        for algo in ("apa", "ppo"):
            resolved = apa_runs.config("apa_hh", "hh", algo, 0, [f"model={model}"]) | {"model": {"name": model}}
            apa_runs.write(tmp_path, resolved, apa_runs.path_of(gain, 4.0, 0.0, 0))
    frames = frames_of(tmp_path)
    names = {each.name: len(each.keys) for each in evaluation_curves.draw(frames)}
    assert names == {f"evaluation_curves-apa_hh-hh-{model}-mini-bundled": 2 for model in ("large", "small")}
    (each,) = reward_and_kl.draw(frames)
    assert each.data["label"].nunique() == 4 and "model large, small" in each.figure.subfigs[0].get_suptitle()
    (table,) = kl_efficiency.draw(frames)
    assert table.cells["model"].tolist() == ["large", "large", "small", "small"]


def test_a_sweep_all_of_whose_runs_lie_elsewhere_is_drawn(tmp_path: Path) -> None:
    others = apa_runs.write_online(tmp_path, "apa_hh", "hh", {"ppo": (0.8, 12.0, 0.0), "apa": (1.0, 6.0, 0.0)})
    runs.note_elsewhere(tmp_path, "apa_dolly", dict(others))
    names = {each.name.split("-")[1]: each.keys for each in evaluation_curves.draw(frames_of(tmp_path))}
    assert names["apa_dolly"] == names["apa_hh"] and len(names["apa_hh"]) == 6


def test_an_algorithm_with_one_setting_keeps_its_colour(drawn: dict[str, Drawn]) -> None:
    legend = drawn["evaluation_curves-apa_hh-hh-gpt2_mini-mini-bundled"].figure.subfigs[0].legends[0]
    other = drawn["evaluation_curves-apa_stack-stack_exchange-gpt2_mini-mini-bundled"].figure.subfigs[0].legends[0]
    colours = [[line.get_color() for line in each.get_lines()] for each in (legend, other)]
    assert colours[0] == colours[1] and len(set(colours[0])) == 3


def test_the_control_of_the_kl_is_said_in_words_in_the_papers_order(drawn: dict[str, Drawn]) -> None:
    labels = list(dict.fromkeys(drawn[CONTROL].data["label"]))
    assert labels == ["adaptive beta, from 0.05, target 6 nats", "constant beta 0.05", "no KL penalty"]
    row = drawn[CONTROL].data.query("label == 'no KL penalty'").iloc[0]
    assert row["kl_mean"] == pytest.approx(60.0) and row["n"] == 3
    assert outcomes.control_in_words("0", "6") == "adaptive beta, from 0, target 6 nats"


def test_reward_and_kl_are_of_the_same_runs(outputs: Path, tmp_path: Path) -> None:
    others = apa_runs.write_online(tmp_path, "apa_hh", "hh")
    (others["ppo0"] / "DONE").write_text(json.dumps({"final": {"eval/test/reward": 0.5}}))
    (each,) = reward_and_kl.draw(frames_of(tmp_path))
    assert each.data.groupby("label")["n"].first().to_dict() == {"algo=apa": 3, "algo=awr": 3, "algo=ppo": 2}
    assert "n = 2 to 3 seeds." in caption(each)


def test_ilql_is_shown_as_it_decodes_and_beside_the_start(drawn: dict[str, Drawn]) -> None:
    data = drawn[OFFLINE].data
    labels = list(dict.fromkeys(data["label"]))
    decoded = ["ILQL, policy alone", "ILQL, b = 1", "ILQL, b = 4"]
    assert labels == ["start: after SFT", *decoded, "offline APA", "offline AWR"]
    assert data[data["label"].isin(decoded[1:])]["kl"].isna().all() and data["n"].eq(3).all()
    start = data[data["label"] == labels[0]]
    assert start["reward"].tolist() == pytest.approx([-0.5, -0.48, -0.46]) and start["kl"].eq(0).all()
    assert len(drawn[OFFLINE].keys) == 9 and "its KL is 0 by definition" in caption(drawn[OFFLINE])


def test_runs_that_began_with_different_policies_have_no_common_start(tmp_path: Path) -> None:
    for algo, key in (("offline_apa", "a" * 12), ("offline_awr", "b" * 12)):
        resolved = apa_runs.config("apa_offline", "hh", algo, 0) | {"init_from": key}
        apa_runs.write(tmp_path, resolved, apa_runs.path_of(0.2, 1.0, 0.0, 0))
    (each,) = offline.draw(frames_of(tmp_path))
    assert list(each.data["label"]) == ["offline APA", "offline AWR"] and "no common start" in caption(each)


def test_a_comparison_is_told_from_the_side_that_figures_name_first(frames: Frames) -> None:
    rows = sides.sided(frames, win_rates.order_of(frames.runs))
    pairs = rows[["a_algo", "b_algo", "a_seed"]].itertuples(index=False, name=None)
    assert list(pairs) == [("apa", "sft", 0), ("ppo", "apa", 0), ("ppo", "apa", 1), ("ppo", "sft", 0)]
    assert rows["won"].tolist() == [130, 80, 90, 120] and rows["judged"].tolist() == [190, 200, 200, 200]
    assert rows["rate"].tolist() == pytest.approx([140 / 190, 0.475, 0.45, 0.65])
    assert (rows["rate_low"] < rows["rate"]).all() and (rows["rate"] < rows["rate_high"]).all()
    assert rows["bias"].tolist()[:2] == [0.6, 0.6] and math.isnan(rows["bias"][2])


def test_the_other_side_mirrors_rate_and_interval_and_not_the_bias(frames: Frames) -> None:
    given = {"won": 3, "lost": 5, "tied": 2, "rate": 0.4, "rate_low": 0.3, "rate_high": 0.55, "bias": 0.7}
    found = sides.swapped(given)
    assert [found["won"], found["lost"], found["tied"], found["bias"]] == [5, 3, 2, 0.7]
    assert [found["rate_low"], found["rate"], found["rate_high"]] == pytest.approx([0.45, 0.6, 0.7])


def test_ties_and_prompts_are_shown(drawn: dict[str, Drawn]) -> None:
    wins = drawn[WINS]
    assert (
        wins.data["label"][0]
        == "A APA, after SFT against B SFT seed 0, n=190 of 200 prompts judge local some-chat-model"
    )
    bars = wins.figure.subfigs[0].axes[0].patches
    widths = [bar.get_width() for bar in bars if bar.get_y() == bars[0].get_y()]
    assert widths == pytest.approx([130 / 190, 20 / 190, 40 / 190])
    said = caption(wins)
    assert "ties (lined)" in said and "0.5 = none" in said and "no position bias" in said
    assert "APA: preset like_for_like · changed: eval.probe_prompts=50." in said


def test_the_position_bias_has_a_panel_only_where_a_judge_has_one(frames: Frames) -> None:
    rows = sides.sided(frames, win_rates.order_of(frames.runs))
    for orders, panels in ((None, 2), (1, 1)):
        shown = rows if orders is None else rows.assign(orders=orders)
        shown = shown.rename(columns={f"{side}_variant": name for side, name in win_rates.SETTINGS.items()})
        assert len(win_rates.picture(shown).figure.subfigs[0].axes) == panels


def test_what_is_not_judged_to_the_end_is_not_shown(tmp_path: Path) -> None:
    others = apa_runs.write_online(tmp_path, "apa_hh", "hh")
    keys = [others[name].name.rpartition("-")[2] for name in ("apa0", "ppo0")]
    open_comparison(tmp_path, {"runs": keys, "judge": {"_target_": "a.local.load", "source": "m"}, "split": "test"}, [])
    assert load.load_comparisons(tmp_path).empty and list(win_rates.draw(frames_of(tmp_path))) == []
