"""Reward for its KL, and collapsed runs, against values worked out by hand."""

import math
from pathlib import Path

import apa_runs
import numpy as np
import pandas as pd
import pytest

from analysis import everything, load
from analysis.statistics import efficiency, evaluations, stats
from analysis.tables import kl_efficiency
from rftlab import intervals


def gain(kl: list[float], reward: list[float], upto: float) -> float:
    return efficiency.mean_gain(np.array(kl), np.array(reward), upto)


def test_a_gain_is_the_area_above_the_start_over_the_kl() -> None:
    """Gains 0, 1, 3 at KL 0, 2, 4: 1 up to 2, and 1.5 from 2 to 3, where the line is at 2."""
    assert gain([0, 2, 4], [1, 2, 4], 3) == pytest.approx(2.5 / 3)
    assert gain([0, 2, 4], [1, 2, 4], 4) == pytest.approx(5 / 4)


def test_nothing_is_extrapolated() -> None:
    assert math.isnan(gain([0, 2, 4], [1, 2, 4], 4.01)) and math.isnan(gain([0, 0, 0], [1, 2, 4], 0))


def test_the_curve_goes_by_kl_and_not_by_time() -> None:
    assert gain([0, 4, 2], [1, 4, 2], 3) == pytest.approx(gain([0, 2, 4], [1, 2, 4], 3))


def test_the_start_has_no_kl_and_estimates_below_zero_count_as_none() -> None:
    assert gain([0.5, 2, 4], [1, 2, 4], 3) == pytest.approx(2.5 / 3)
    assert gain([0, -0.2, 2], [1, 3, 2], 2) == pytest.approx(1.0)  # 0 and 2 at KL 0: their mean


def test_a_point_more_on_the_line_changes_nothing() -> None:
    assert gain([0, 1, 2, 4], [1, 1.5, 2, 4], 3.5) == pytest.approx(gain([0, 2, 4], [1, 2, 4], 3.5))


def evaluated(tmp_path: Path, paths: dict[str, tuple] | None = None) -> pd.DataFrame:
    apa_runs.write_online(tmp_path, "apa_hh", "hh", paths or apa_runs.PATHS)
    kept = stats.one_run_per_seed(load.load_runs(tmp_path))[0]
    return evaluations.of_sweeps(everything.read(tmp_path, None, kept))


def test_the_common_kl_is_the_largest_that_every_run_reaches(tmp_path: Path) -> None:
    runs = efficiency.runs_of(evaluated(tmp_path))
    assert set(runs["common"]) == {3.0} and runs.groupby("algo")["reach"].max().to_dict() == {
        "apa": 6.0, "awr": 3.0, "ppo": 12.0
    }  # fmt: skip
    ppo = runs[(runs["algo"] == "ppo") & (runs["seed"] == 1)].iloc[0]
    assert ppo["gain"] == pytest.approx(0.8 * 0.5 / 2) and ppo["inside"] == 0  # a line to 0.4, the first evaluation
    awr = runs[(runs["algo"] == "awr") & (runs["seed"] == 1)].iloc[0]
    roots = 0.3 * np.sqrt([0, 0.25, 0.5, 0.75, 1])
    assert awr["gain"] == pytest.approx(np.trapezoid(roots, dx=0.25)) and awr["inside"] == 3


def test_seeds_give_the_interval_and_shared_seeds_the_difference(tmp_path: Path) -> None:
    runs = efficiency.runs_of(evaluated(tmp_path))
    cells = efficiency.over_seeds(runs).set_index("algo")
    gains = {algo: dict(zip(part["seed"], part["gain"], strict=True)) for algo, part in runs.groupby("algo")}
    apa, found = cells.loc["apa"], intervals.mean(list(gains["apa"].values()))
    assert [apa["gain"], apa["low"], apa["high"]] == pytest.approx([found.value, found.low, found.high])
    more = intervals.difference(gains["apa"], gains["ppo"]).estimate
    assert [apa["more"], apa["more_low"], apa["more_high"]] == pytest.approx([more.value, more.low, more.high])
    assert math.isnan(cells.loc["ppo", "more"]) and apa["n"] == 3


def test_a_run_that_never_moved_leaves_no_common_kl(tmp_path: Path) -> None:
    rows = evaluated(tmp_path, {"ppo": (0.8, 12.0, 0.0), "apa": (0.0, 0.0, 0.0)})
    cells = efficiency.over_seeds(efficiency.runs_of(rows))
    assert cells["common"].eq(0).all() and cells["gain"].isna().all() and cells["more"].isna().all()
    assert kl_efficiency.laid_out(cells).cells["mean gain"].tolist() == ["-", "-"]


def test_runs_that_told_no_kl_bound_nothing(tmp_path: Path) -> None:
    rows = evaluated(tmp_path)
    rows = rows[~((rows["algo"] == "awr") & (rows["metric"] == evaluations.KL))]
    cells = efficiency.over_seeds(efficiency.runs_of(rows)).set_index("algo")
    assert cells.loc["ppo", "common"] == 6.0 and math.isnan(cells.loc["awr", "gain"])
    assert cells.loc["awr", "collapsed"] == 0


def fell(starts: list[float], bests: list[float], ends: list[float], lost: float = efficiency.LOST) -> list[float]:
    runs = pd.DataFrame({"start": starts, "best": bests, "end": ends}, dtype=float)
    return efficiency.collapses(runs, lost)["collapsed"].tolist()


def test_a_collapse_is_a_fall_of_more_than_half_the_usual_gain() -> None:
    """The gains are 1, 2, 4: the usual one is 2, and the limit 1."""
    assert fell([0, 0, 0], [1, 2, 4], [0, 0.9, 3]) == [0, 1, 0]  # falls of 1, 1.1 and 1
    assert fell([0, 0, 0], [1, 2, 4], [0, 0.9, 3], lost=0.25) == [1, 1, 1]


def test_where_the_usual_run_gains_nothing_nothing_is_called_a_collapse() -> None:
    assert all(map(math.isnan, fell([1, 1, 1], [1, 1, 2], [0, 0, 0])))


def test_collapsed_runs_are_counted_with_an_interval(tmp_path: Path) -> None:
    rows = evaluated(tmp_path, {"ppo": (1.2, 60.0, 0.8), "apa": (1.0, 6.0, 0.0)})
    table = kl_efficiency.laid_out(efficiency.over_seeds(efficiency.runs_of(rows)))
    assert table.cells["collapsed"].tolist() == ["3 of 3 (0.44 to 1.00)", "0 of 3 (0.00 to 0.56)"]
    assert "Runs that ended with an error are in no row" in table.caption
