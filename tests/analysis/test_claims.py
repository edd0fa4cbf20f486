"""Claims of the paper against runs whose rewards and KL are made up, and verdicts worked out by hand."""

from pathlib import Path

import apa_runs
import pandas as pd
import pytest

from analysis import everything, load
from analysis.statistics import claims, stats
from analysis.statistics.frames import Frames
from analysis.tables import claims as table
from rftlab.intervals import Estimate


def frames_of(outputs: Path) -> Frames:
    kept = stats.one_run_per_seed(load.load_runs(outputs))[0]
    return everything.read(outputs, None, kept)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    outputs = tmp_path_factory.mktemp("claims") / "outputs"
    apa_runs.write_all(outputs)
    return claims.of_sweeps(frames_of(outputs)).set_index([stats.HELD, "claim"])


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (Estimate(0.2, 0.1, 0.3), "supported"),
        (Estimate(-0.2, -0.3, -0.1), "not supported"),
        (Estimate(0.2, -0.1, 0.5), "undecided"),
        (Estimate(0.2, 0.0, 0.4), "undecided"),
        (Estimate(0.2), "undecided"),
    ],
)
def test_an_interval_decides_only_where_0_is_outside(estimate: Estimate, verdict: str) -> None:
    assert claims.verdict(estimate) == verdict


def test_a_difference_is_that_of_the_ends_by_seed(found: pd.DataFrame) -> None:
    """Seeds gain 0.9, 1 and 1.1 times 1.0 (APA) and 0.8 (PPO): differences 0.18, 0.20 and 0.22."""
    row = found.loc[("apa_hh", "APA ends with more reward than PPO")]
    assert row["value"] == pytest.approx(0.2) and row["n"] == 3
    assert row["value"] - row["low"] == pytest.approx(4.302653 * 0.02 / 3**0.5, rel=1e-5)
    assert row["verdict"] == "supported"


def test_a_claim_of_less_kl_is_a_claim_of_more_on_the_other_side(found: pd.DataFrame) -> None:
    row = found.loc[("apa_hh", "APA ends nearer to its start than PPO")]
    assert row["value"] == pytest.approx(12.0 - 6.0)


def test_lambdas_are_compared_at_their_ends(found: pd.DataFrame) -> None:
    row = found.loc[("apa_lambda", "APA with a smaller lambda ends further from its start")]
    assert row["value"] == pytest.approx(14.0 - 0.8)
    assert "APA with a smaller lambda ends with more reward" not in found.loc["apa_hh"].index  # one lambda


def test_the_control_of_the_kl_is_read_from_the_settings(found: pd.DataFrame) -> None:
    """No penalty: KL 60 and a gain of 1.2 of which 0.2 is left; adaptive: KL 12 and 0.8. Constant beta: neither."""
    rows = found.loc["ppo_kl_control"]
    far = rows.loc["PPO without a KL penalty ends further than with an adaptive one"]
    assert far["value"] == pytest.approx(60.0 - 12.0)
    less = rows.loc["PPO without a KL penalty ends with more reward"]
    assert less["value"] == pytest.approx(0.24 - 0.8) and less["verdict"] == "not supported"
    lost = rows.loc["PPO with an adaptive beta loses more of its best reward"]
    assert lost["value"] == pytest.approx(-(1.2 * 0.75**0.5 - 0.24))


def test_ilql_is_compared_with_each_of_its_ways_of_decoding(found: pd.DataFrame) -> None:
    """Gains of seed 1: 0.4 (APA), 0.2 (AWR), 0.1 + 0.05 b (ILQL)."""
    rows = found.loc["apa_offline"]
    assert rows.loc["offline AWR ends with more reward than offline APA", "value"] == pytest.approx(-0.2)
    assert rows.loc["offline AWR ends with more reward than offline APA", "verdict"] == "not supported"
    assert rows.loc["offline AWR ends with more reward than ILQL, b = 1", "value"] == pytest.approx(0.05)
    assert rows.loc["offline AWR ends with more reward than ILQL, b = 4", "value"] == pytest.approx(-0.1)


def test_a_judge_that_prefers_the_other_policy_does_not_support_the_claim(found: pd.DataFrame) -> None:
    """200 prompts: PPO wins 80 and ties 30 of one comparison with APA, 90 of another judge's."""
    rows = found.loc["judge"]
    better = rows.loc[["a judge prefers APA to PPO"]]
    assert sorted(better["value"]) == pytest.approx(sorted([0.5 - 95 / 200, 0.5 - 90 / 200]))
    assert rows.loc["a judge prefers APA to SFT", "verdict"] == "supported"


def test_several_settings_of_an_algorithm_are_compared_with_nothing(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    apa_runs.write_lambda(outputs, apa_runs.write_online(outputs, "apa_hh", "hh"))
    for seed in apa_runs.SEEDS:
        path = apa_runs.path_of(*apa_runs.PATHS["ppo"], seed)
        resolved = apa_runs.config("apa_lambda", "hh", "ppo", seed, ["algo.loss.clip_range=0.3"], clip_range=0.3)
        apa_runs.write(outputs, resolved, path)
    rows = claims.of_sweeps(frames_of(outputs))
    assert "ppo" in set(claims.online_runs(frames_of(outputs)).query("held_by == 'apa_lambda'")["algo"])
    about_ppo = rows[rows["claim"].str.contains("PPO")]
    assert set(about_ppo[stats.HELD]) == {"apa_hh"}


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    for algo, path in apa_runs.PATHS.items():
        apa_runs.write(outputs, apa_runs.config("apa_tldr", "tldr", algo, 0), apa_runs.path_of(*path, 0))
    rows = claims.of_sweeps(frames_of(outputs))
    assert len(rows) and set(rows["verdict"]) == {"undecided"} and set(rows["n"]) == {1}


def test_the_table_names_figures_in_the_order_of_the_sweeps(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    apa_runs.write_all(outputs)
    (laid,) = table.draw(frames_of(outputs))
    assert laid.name == "table_claims-mini-bundled"
    figures = laid.cells["figure"].drop_duplicates().tolist()
    assert figures == ["3, 4", "2", "7", "8", "9", "1"]
    row = laid.cells[laid.cells["claim"] == "APA ends with more reward than PPO"].iloc[0]
    assert row["difference"].startswith("+0.200 [") and row["verdict"] == "supported"
