"""Controlled experiments: curves of both groups, the table of ends, what is missing."""

from pathlib import Path

import builder
import kinds
import numpy as np
import pandas as pd
import pytest

from analysis import everything, load
from analysis.missing import coverage
from analysis.statistics import controlled

SMALL = [(1, 0.1, 0.4), (2, 0.2, 0.8), (5, 0.3, 0.6)]  # epoch, reward std, reward of the small-std group


def one_run(outputs: Path, seed: int, shift: float = 0.0, **changes: object) -> None:
    rows = [
        (epoch, {"small_std/reward": reward + shift, "small_std/reward_std": std, "large_std/reward": 1.0})
        for epoch, std, reward in SMALL
    ]
    rows += [(0, {"eval/small_std/reward": -1.0}), (5, {"eval/small_std/reward": 0.7 + shift})]
    kinds.write(outputs, kinds.controlled("mnist", "sft", seed, **changes), metrics=rows)


def test_curves_of_a_group_are_reduced_over_seeds(tmp_path: Path) -> None:
    one_run(tmp_path, 0)
    one_run(tmp_path, 1, shift=0.2)
    curves = controlled.group_curves(load.load_metrics(tmp_path))
    small = curves[curves["metric"] == "small_std/reward"]
    assert small[["step", "n"]].to_numpy().tolist() == [[1, 2], [2, 2], [5, 2]]
    np.testing.assert_allclose(small[["mean", "min", "max"]].iloc[0], [0.5, 0.4, 0.6])
    assert set(small["group"]) == {"small_std"} and set(small["quantity"]) == {"reward"}
    assert set(small["wrong_reward"]) == {-1.0}


def test_the_table_says_what_the_network_scored_before_the_first_update_and_at_the_end(tmp_path: Path) -> None:
    one_run(tmp_path, 0)
    one_run(tmp_path, 1, shift=0.2)
    row = controlled.final_table(load.load_metrics(tmp_path)).iloc[0]
    values = [row[f"eval/small_std/reward/{value}"] for value in ("start", "end", "end_min", "end_max")]
    assert values == pytest.approx([-1.0, 0.8, 0.7, 0.9])
    assert np.isnan(row["eval/train/accuracy/end"])
    assert (row["n"], len(row["run_keys"].split())) == (2, 2)


def test_seeds_share_a_cell_although_each_has_its_own_parent(tmp_path: Path) -> None:
    for seed in (0, 1):
        kinds.write_controlled(tmp_path, "mnist", "sft", seed)
    runs = load.load_runs(tmp_path)
    assert runs["cell"].nunique() == 1 and runs["init_from"].nunique() == 2


def test_optimizer_and_rewards_are_settings_of_a_figure_and_not_variants(tmp_path: Path) -> None:
    for optimizer in ("adam", "sgd"):
        for wrong in (-1.0, 0.5):
            kinds.write_controlled(tmp_path, "mnist", "sft", optimizer=optimizer, wrong=wrong)
    runs = load.load_runs(tmp_path)
    assert set(runs["variant"]) == {""}
    assert runs[["optimizer", "wrong_reward"]].drop_duplicates().shape[0] == 4


def missing(outputs: Path) -> pd.DataFrame:
    return everything.missing(load.load_runs(outputs), whole=False)


def test_the_companion_of_a_controlled_run_is_named_with_its_command(tmp_path: Path) -> None:
    for seed in (0, 1):
        kinds.write_controlled(tmp_path, "mnist", "expected_reinforce", seed, optimizer="sgd", wrong=0.5)
    command = "python src/train.py -m algo=sft data=mnist model=mlp optimizer=sgd data.rewards.wrong_modified=0.5"
    assert list(missing(tmp_path)["command"]) == [f"{command} seed=0,1 sweep.name=controlled {coverage.GUESSED}"]
    for seed in (0, 1):
        kinds.write_controlled(tmp_path, "mnist", "sft", seed, optimizer="sgd", wrong=0.5)
    kinds.write_controlled(tmp_path, "mnist", "pretrain", 0, optimizer="sgd")
    assert missing(tmp_path).empty


def test_seeds_and_unfinished_controlled_runs_are_named(tmp_path: Path) -> None:
    for algo, seed in (("expected_reinforce", 0), ("expected_reinforce", 1), ("sft", 0)):
        folder = kinds.write_controlled(tmp_path, "mnist", algo, seed)
    assert list(missing(tmp_path)["seeds"]) == ["1"]
    (folder / "DONE").unlink()
    assert sorted(missing(tmp_path)["seeds"]) == ["0", "1"]


def test_rft_of_a_language_model_asks_for_a_whole_sft(tmp_path: Path) -> None:
    builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0))
    partial = {"step_fraction": 0.4, "sample_fraction": 1.0}
    builder.write_run(tmp_path, builder.config("imdb", "sft", "none", 0, algo__loop=partial))
    command = "python src/train.py algo=sft data=imdb model=gpt2_mini"
    rows = missing(tmp_path)
    wanted = rows.loc[rows["reason"] == "no whole SFT", "command"]
    assert list(wanted) == [f"{command} {coverage.GUESSED}"]
    builder.write_run(tmp_path, builder.config("imdb", "sft", "none", 0))
    assert "no whole SFT" not in set(missing(tmp_path)["reason"])


def never_made(outputs: Path) -> list[str]:
    rows = everything.missing(load.load_runs(outputs), whole=True)
    return list(
        rows.loc[(rows["reason"] == "no runs") & rows["data"].isin(["controlled experiments", "theory"]), "command"]
    )


def test_families_never_run_are_one_line_each(tmp_path: Path) -> None:
    assert never_made(tmp_path) == [
        "python src/train.py -m +sweep=controlled",
        "python src/train.py -m experiment=theory/gradient_bound,theory/ppo_gradient,theory/time_separation",
    ]
    kinds.write(tmp_path, kinds.theory("time_separation"))
    kinds.write(tmp_path, kinds.theory("ppo_gradient"))
    kinds.write_controlled(tmp_path, "mnist", "sft")
    assert never_made(tmp_path) == ["python src/train.py experiment=theory/gradient_bound"]
