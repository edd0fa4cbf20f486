"""Reward against KL, and the table of algorithms, against values worked out by hand."""

import math
from pathlib import Path

import pandas as pd
import pytest
import yaml

from analysis.drawing.save import Drawn
from analysis.figures import reward_against_kl
from analysis.missing.wanted import never_made
from analysis.statistics import frontier
from analysis.statistics.frames import Frames
from analysis.tables import algorithms
from rftlab import intervals

CELL = {
    "scale": "mini", "source": "bundled", "data": "imdb", "model": "m", "optimizer": "adamw", "heuristic": "none",
    "variant": "", "sweep": "s", "family": "language", "state": "done", "counts": "iterations",
}  # fmt: skip
EMPTY = pd.DataFrame()
GAINS = {"ppo": {0: 0.1, 1: 0.3}, "rloo": {0: 0.2}}


def frames(more: list[dict] | None = None) -> Frames:
    """Two seeds of PPO that gain 0.1 and 0.3, one of RLOO that gains 0.2; KL of a rollout at every step."""
    runs, metrics = [], []
    for algo, gains in GAINS.items():
        for seed, gain in gains.items():
            who = CELL | {"algo": algo, "cell": algo, "seed": seed, "run_key": f"{algo}{seed}"}
            cost = {"policy/kl": 4.0 + seed, "cost/seconds": 10.0 * (1 + seed), "cost/peak_mib": 500.0, "sweeps": ["s"]}
            runs.append(who | cost)
            for step in range(3):
                metrics.append(who | {"metric": "policy/kl", "step": step, "value": step * 2.0 + seed})
            for step, reward in ((0, 0.5), (2, 0.5 + gain)):
                metrics.append(who | {"metric": "eval/test/reward", "step": step, "value": reward})
    others = {row["run_key"]: {name: row[name] for name in who} | {"sweeps": ["s"]} for row in more or []}
    return Frames(pd.DataFrame([*runs, *others.values()]), pd.DataFrame(metrics + (more or [])), EMPTY, EMPTY)


def test_a_point_is_an_evaluation_with_the_kl_of_the_same_policy() -> None:
    points = frontier.points(frames())
    assert len(points) == 6 and set(points["step"]) == {0, 2}  # no reward at step 1
    ppo = points[points["run_key"] == "ppo1"].sort_values("step")
    assert ppo["kl"].tolist() == [1.0, 5.0] and ppo["reward"].tolist() == pytest.approx([0.5, 0.8])


def test_a_curve_is_the_mean_over_seeds_with_their_extremes() -> None:
    curve = frontier.over_seeds(frontier.points(frames()))
    end = curve[(curve["cell"] == "ppo") & (curve["step"] == 2)].iloc[0]
    assert end["n"] == 2 and end["kl"] == pytest.approx(4.5)
    assert [end["reward_min"], end["reward"], end["reward_max"]] == pytest.approx([0.6, 0.7, 0.8])
    assert end["run_keys"] == "ppo0 ppo1"


def test_runs_that_diverged_have_no_point() -> None:
    bad = frames().metrics.query("run_key == 'ppo1' and metric == 'policy/kl' and step == 2").to_dict("records")
    given = frames()
    given.metrics.loc[
        (given.metrics["run_key"] == "ppo1") & (given.metrics["step"] == 2) & (given.metrics["metric"] == "policy/kl"),
        "value",
    ] = math.nan
    assert len(bad) == 1 and len(frontier.points(given)) == 5


def test_the_interval_of_a_change_is_students_and_one_seed_has_none() -> None:
    """Gains 0.1 and 0.3: mean 0.2, standard error 0.1, t of one degree of freedom 12.706."""
    cells = frontier.outcomes(frames()).set_index("cell")
    ppo = cells.loc["ppo"]
    assert [ppo["gain"], ppo["low"], ppo["high"]] == pytest.approx([0.2, 0.2 - 1.2706, 0.2 + 1.2706], abs=1e-4)
    assert ppo["kl"] == 4.5 and ppo["seconds"] == 15.0 and ppo["peak_mib"] == 500.0 and ppo["n"] == 2
    assert math.isnan(cells.loc["rloo", "low"]) and cells.loc["rloo", "gain"] == pytest.approx(0.2)


def test_the_table_says_one_row_per_algorithm_and_a_dash_where_there_is_no_interval() -> None:
    (table,) = algorithms.draw(frames())
    assert table.cells["algorithm"].tolist() == ["PPO", "RLOO"]
    assert table.cells["change"].tolist() == ["+0.200 [-1.071, +1.471]", "+0.200 [-, -]"]
    assert table.keys == {"ppo0", "ppo1", "rloo0"}


def test_settings_that_all_rows_share_stand_in_the_caption_once() -> None:
    given = frames()
    for frame in (given.runs, given.metrics):
        rloo = " algo.loss.kl.initial=0.1"
        frame["variant"] = ["preset=like_for_like eval.every=5" + rloo * (algo == "rloo") for algo in frame["algo"]]
    (table,) = algorithms.draw(given)
    assert table.cells["algorithm"].tolist() == ["PPO", "RLOO, KL coefficient 0.1"]
    assert "All: preset like_for_like · changed: eval.every=5." in table.caption
    assert "All:" not in next(iter(algorithms.draw(frames()))).caption
    assert "with loading" in table.caption


def test_a_figure_needs_a_policy_that_moved() -> None:
    (drawn,) = reward_against_kl.draw(frames())
    assert drawn.name == "reward_against_kl-s-imdb-m-mini-bundled" and len(drawn.data) == 4
    given = frames()
    still = Frames(given.runs, given.metrics[given.metrics["step"] == 0], EMPTY, EMPTY)
    assert list(reward_against_kl.draw(still)) == []


def test_every_sweep_has_a_picture_of_the_runs_that_it_holds() -> None:
    given = frames()
    given.runs["sweeps"] = [["s", "t"] if algo == "ppo" else ["s"] for algo in given.runs["algo"]]
    drawn = {each.name: each.data for each in reward_against_kl.draw(given)}
    assert {name: set(data["algo"]) for name, data in drawn.items()} == {
        "reward_against_kl-s-imdb-m-mini-bundled": {"ppo", "rloo"},
        "reward_against_kl-t-imdb-m-mini-bundled": {"ppo"},
    }


def caption(drawn: Drawn) -> str:
    (text,) = drawn.figure.subfigs[1].texts
    return " ".join(text.get_text().split())


def test_an_estimate_of_kl_below_zero_is_drawn_too() -> None:
    given = frames()
    (drawn,) = reward_against_kl.draw(given)
    assert drawn.figure.subfigs[0].axes[0].get_xlim()[0] == 0.0
    kl = given.metrics["metric"] == "policy/kl"
    given.metrics.loc[kl & (given.metrics["step"] == 0), "value"] = -0.25
    (drawn,) = reward_against_kl.draw(given)
    assert drawn.figure.subfigs[0].axes[0].get_xlim()[0] == -0.25


def test_an_algorithm_that_told_no_kl_is_named_and_others_are_not() -> None:
    sft = CELL | {"algo": "sft", "cell": "sft", "seed": 0, "run_key": "sft0", "metric": "eval/test/reward"}
    (drawn,) = reward_against_kl.draw(frames([sft | {"step": step, "value": 0.5} for step in (0, 2)]))
    assert "Without a curve, as their runs told no KL: SFT." in caption(drawn)
    (drawn,) = reward_against_kl.draw(frames())
    assert "Without a curve" not in caption(drawn)


def test_what_never_ran_is_asked_for_with_the_sweep_of_all_algorithms() -> None:
    runs = frames().runs.assign(overrides=[["algo=ppo", "experiment=apa/like_for_like"], [], []])
    (gap,) = never_made(algorithms.WANTED, runs)
    assert gap["command"] == "python src/train.py -m +sweep=algorithms" and gap["reason"] == "no runs"
    missing = gap["algo"].split(",")
    assert "ppo" not in missing  # RLOO ran, but not with the setting of all
    assert {"rloo", "grpo", "dpo", "ilql", "offline_apa"} <= set(missing)
    every = [each.algo for each in algorithms.WANTED]
    overrides = ["experiment=apa/like_for_like"]
    done = pd.DataFrame([CELL | {"algo": algo, "overrides": overrides} for algo in every])
    assert never_made(algorithms.WANTED, done) == []


def test_all_policies_of_the_sweep_are_wanted() -> None:
    file = Path(__file__).parents[2] / "conf" / "sweep" / "algorithms.yaml"
    grids = yaml.safe_load(file.read_text())["hydra"]["sweeper"]["grids"]
    swept = [algo for grid in grids for algo in grid["algo"].split(",")]
    assert {each.algo for each in algorithms.WANTED} == set(swept) - {"reward_model"}


def test_values_that_agree_have_an_interval_of_no_width() -> None:
    assert intervals.half_width([1.0, 1.0]) == 0.0
