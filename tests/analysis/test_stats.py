"""Statistics against values worked out by hand."""

import math
import shlex
from pathlib import Path

import builder
import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from analysis import everything, load
from analysis.missing import coverage
from analysis.statistics import stats
from rftlab import intervals

PPO = {"scale": "mini", "source": "bundled", "data": "imdb", "model": "m", "algo": "ppo", "optimizer": "adamw"} | {
    "heuristic": "none",
    "variant": "",
    "cell": "c0",
    "sweep": "s",
    "low_reward": 0.5,
    "n_train": math.nan,
    "state": "done",
}


def frame(rows: list[dict], **changes: object) -> pd.DataFrame:
    return pd.DataFrame([PPO | changes | row for row in rows])


def values(metric: str, by_seed: dict[int, list[float]]) -> pd.DataFrame:
    return frame(
        [
            {"seed": seed, "run_key": f"k{seed}", "metric": metric, "step": step, "value": value}
            for seed, series in by_seed.items()
            for step, value in enumerate(series)
        ]
    )


def test_curves_give_mean_minimum_maximum_and_n_over_seeds() -> None:
    result = stats.curves(values("r", {0: [1.0, 2.0], 1: [3.0, 4.0], 2: [8.0]}), ["r"])
    assert result[["step", "mean", "min", "max", "n"]].to_numpy().tolist() == [[0, 4, 1, 8, 3], [1, 3, 2, 4, 2]]
    assert set(result["run_keys"]) == {"k0 k1 k2"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_values_enter_no_mean_and_are_counted(bad: float) -> None:
    result = stats.curves(values("r", {0: [1.0], 1: [bad]}), ["r"]).iloc[0]
    assert (result["mean"], result["n"], result["n_nonfinite"]) == (1.0, 1, 1)


def test_start_and_end_are_the_first_and_last_logged_steps() -> None:
    shuffled = values("r", {0: [0.1, 0.5, 0.3]}).iloc[[2, 0, 1]]
    result = stats.start_and_end(shuffled, ["r"]).iloc[0]
    assert (result["start_step"], result["start"], result["end_step"], result["end"]) == (0, 0.1, 2, 0.3)


def test_a_run_that_diverged_leaves_the_average_and_is_counted() -> None:
    ends = stats.start_and_end(values("r", {0: [0.0, 1.0], 1: [0.5, math.nan]}), ["r"])
    result = stats.over_seeds(ends).iloc[0]
    assert (result["start"], result["end"], result["n"], result["n_nonfinite"]) == (0.0, 1.0, 2, 1)


def prompts(std: list[float], mean: list[float], seed: int = 0, **changes: object) -> pd.DataFrame:
    rows = [
        {
            "seed": seed,
            "run_key": f"k{seed}",
            "phase": "before",
            "prompt_id": f"p{i}",
            "reward_std": s,
            "reward_mean": m,
        }
        for i, (s, m) in enumerate(zip(std, mean, strict=True))
    ]
    return frame(rows, **changes)


def test_vanishing_share_counts_prompts_below_and_not_at_the_threshold() -> None:
    result = stats.vanishing_share(prompts([0.0, 0.049, 0.05, 0.2], [0.1, 0.9, 0.1, 0.1])).iloc[0]
    assert (result["share"], result["share_low"], result["n_prompts"], result["n"]) == (0.5, 0.25, 4, 1)


def test_vanishing_share_averages_over_seeds() -> None:
    both = pd.concat([prompts([0.0, 0.0], [0.1, 0.1]), prompts([0.0, 0.2], [0.1, 0.1], seed=1)])
    result = stats.vanishing_share(both).iloc[0]
    assert (result["share"], result["n"], result["run_keys"]) == (0.75, 2, "k0 k1")


def test_the_low_share_is_unknown_where_the_data_names_no_low_reward() -> None:
    result = stats.vanishing_share(prompts([0.0], [0.1], low_reward=math.nan)).iloc[0]
    assert (result["share"], math.isnan(result["share_low"])) == (1.0, True)


def test_a_prompt_without_a_finite_std_is_counted_apart() -> None:
    result = stats.vanishing_share(prompts([math.nan, 0.2], [0.1, 0.1])).iloc[0]
    assert (result["share"], result["n_nonfinite"]) == (0.0, 1)


def test_the_interval_of_a_share_matches_the_normal_one_and_knows_no_order() -> None:
    sample = (np.random.default_rng(1).random(400) < 0.3).astype(float)
    low, high = intervals.share(sample, draws=4000)
    half = 1.96 * sample.std() / 20
    assert (low, high) == pytest.approx((sample.mean() - half, sample.mean() + half), abs=0.01)
    assert (low, high) == intervals.share(sample[::-1], draws=4000)


def test_the_interval_of_equal_shares_is_a_point_and_of_none_unknown() -> None:
    assert intervals.share(np.full(5, 0.3)) == pytest.approx((0.3, 0.3))
    assert all(map(math.isnan, intervals.share(np.array([]))))


def test_a_share_of_every_train_prompt_has_no_interval_over_prompts() -> None:
    some, every = (prompts([0.0, 0.2], [0.1, 0.1], n_train=n) for n in (3.0, 2.0))
    assert stats.vanishing_share(some).iloc[0]["low"] == 0.0
    assert math.isnan(stats.vanishing_share(every).iloc[0]["low"])


def test_the_same_setting_and_seed_in_two_sweeps_counts_once_and_is_listed(tmp_path: Path) -> None:
    for sweep in ("a", "b"):
        builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0, sweep=sweep))
    kept, repeated = stats.one_run_per_seed(load.load_runs(tmp_path))
    assert (list(kept["sweep"]), list(repeated["sweep"])) == (["a"], ["b"])
    assert set(stats.of_runs(load.load_metrics(tmp_path), kept)["sweep"]) == {"a"}


def missing_runs(outputs: Path, whole: bool = False) -> pd.DataFrame:
    """List what is missing, but for the SFT that RFT is compared with."""
    rows = everything.missing(load.load_runs(outputs), whole)
    return rows[rows["reason"] != "no whole SFT"].reset_index(drop=True)


def test_missing_seeds_and_failed_runs_are_listed_with_the_command_that_makes_them(outputs: Path) -> None:
    missing = missing_runs(outputs).set_index(["algo", "heuristic"])
    assert len(missing) == 2
    words = "python src/train.py algo=apa data=narrativeqa model=t5_mini seed=2"
    assert missing.at[("apa", "none"), "command"] == f"{words} {coverage.GUESSED}"
    assert missing.at[("ppo", "partial_sft"), "reason"].endswith("is failed")


def test_without_any_run_the_sweep_of_each_dataset_is_asked_for(tmp_path: Path) -> None:
    commands = list(missing_runs(tmp_path, whole=True)["command"])
    sweeps = [f"python src/train.py -m algo=ppo,apa data={data}" for data in ("narrativeqa", "imdb")]
    assert [command for command in commands if command in sweeps] == sweeps


def test_an_algorithm_that_was_never_run_is_missing_under_each_heuristic_of_the_other(tmp_path: Path) -> None:
    for heuristic in ("none", "partial_sft"):
        builder.write_run(tmp_path, builder.config("imdb", "ppo", heuristic, 0))
    missing = missing_runs(tmp_path)
    assert list(missing["algo"] + " " + missing["heuristic"]) == ["apa none", "apa partial_sft"]


def test_a_run_of_another_scale_and_source_is_asked_for_at_that_scale_and_source(tmp_path: Path) -> None:
    builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0, sweep="x", data__source="hub"))
    builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0, scale="paper", data__source="hub"))
    commands = sorted(missing_runs(tmp_path)["command"])
    assert [command.removesuffix(f" {coverage.GUESSED}") for command in commands] == [
        "python src/train.py algo=apa data=imdb model=gpt2_mini data.source=hub sweep.name=x",
        "python src/train.py algo=apa data=imdb model=gpt2_mini scale=paper",
    ]


def test_runs_made_with_a_mirror_are_asked_for_with_it(tmp_path: Path) -> None:
    hub = {"data__source": "hub", "paths__hub_mirror": "/data/the hub"}
    builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0, **hub))
    builder.write_run(tmp_path, builder.config("imdb", "ppo", "partial_sft", 1, **hub), "failed")
    missing = missing_runs(tmp_path)
    assert set(missing["algo"]) == {"ppo", "apa"}
    for command in missing["command"]:
        word = next(word for word in shlex.split(command) if word.startswith("paths."))
        assert OverridesParser.create().parse_override(word).value() == "/data/the hub"
