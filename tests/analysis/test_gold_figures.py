"""Gold reward beside the one that was optimised: golden numbers, choice of the best, verdicts, what is left out."""

import math
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import apa_runs
import gold_runs
import pandas as pd
import pytest

from analysis import everything, load
from analysis.drawing.save import Drawn
from analysis.drawing.table import Table
from analysis.figures import gold_and_proxy
from analysis.missing.wanted import APA_GOLD
from analysis.statistics import gold, stats
from analysis.statistics.frames import Frames
from analysis.tables import over_optimisation
from rftlab import intervals, runs
from rftlab.intervals import Estimate

GOLDEN = Path(__file__).parent / "golden"
NAME = "gold_and_proxy-apa_tldr-tldr-gpt2_mini-mini-bundled"
Change = Callable[[int, int, dict[str, float]], dict[str, float]]  # of the metrics of a seed at a step


def frames_of(outputs: Path) -> Frames:
    return everything.read(outputs, None, stats.one_run_per_seed(load.load_runs(outputs))[0])


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    folder = tmp_path_factory.mktemp("gold") / "outputs"
    gold_runs.write_gold(folder)
    apa_runs.write_online(folder, "apa_hh", "hh")  # without a gold reward
    return frames_of(folder)


@pytest.fixture(scope="module")
def drawn(frames: Frames) -> Drawn:
    (each,) = gold_and_proxy.draw(frames)
    return each


@pytest.fixture(scope="module")
def table(frames: Frames) -> Table:
    (each,) = over_optimisation.draw(frames)
    return each


def changed(outputs: Path, change: Change, algo: str = "ppo") -> pd.DataFrame:
    """Write the runs of an algorithm with other metrics; return its row over seeds."""
    for seed in apa_runs.SEEDS:
        rows = gold_runs.rows_of(*gold_runs.PATHS[algo], seed)
        changed = [(step, change(seed, step, metrics)) for step, metrics in rows]
        apa_runs.write(outputs, gold_runs.config(algo, seed), changed)
    return gold.over_seeds(gold.runs_of(gold.gains(frames_of(outputs))))


def test_the_drawn_numbers_equal_the_golden_ones(drawn: Drawn) -> None:
    assert drawn.name == NAME
    words = dict.fromkeys(("cell", "run_key"), str)
    said, golden = (
        pd.read_csv(text, dtype=words, keep_default_na=False)
        for text in (StringIO(drawn.data.to_csv(index=False)), GOLDEN / f"{NAME}.csv")
    )
    pd.testing.assert_frame_equal(said, golden, rtol=1e-9, atol=1e-9, check_dtype=False)


def test_every_point_lies_in_its_panel_also_where_the_first_setting_moved_least(frames: Frames) -> None:
    rows = gold.with_means(gold.gains(frames).query("distance == distance"))
    rows.loc[rows["algo"] == "ppo", ["distance", "distance_mean"]] *= 0.1
    drawn = gold_and_proxy.picture(rows, frames.counts, [])
    panels = [axes for axes in drawn.figure.axes if axes.get_visible()]
    farthest = max(line.get_xdata().max() for axes in panels for line in axes.lines[1:])
    for axes in panels:
        left, right = axes.get_xlim()
        assert left == 0 and right > farthest
        (low, high), drawn_y = axes.get_ylim(), [y for line in axes.lines for y in line.get_ydata()]
        assert low < min(drawn_y) and max(drawn_y) < high


def test_the_table_equals_the_golden_one(table: Table) -> None:
    golden = pd.read_csv(GOLDEN / f"{table.name}.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(table.cells, golden)
    assert table.cells["verdict"].tolist() == [gold.OVER, gold.KEEPS, gold.KEEPS]


def test_gains_are_of_test_prompts_since_the_start_against_the_root_of_the_kl(frames: Frames) -> None:
    rows = gold.gains(frames)
    run = rows[(rows["algo"] == "ppo") & (rows["seed"] == 2)]
    assert run["step"].tolist() == list(apa_runs.STEPS) and set(rows["data"]) == {"tldr"}
    assert run["distance"].tolist() == pytest.approx([0, 2, 8**0.5, 12**0.5, 4])
    assert run["proxy"].tolist() == pytest.approx([1.1 * share**0.5 for share in (0, 0.25, 0.5, 0.75, 1)])
    assert run["gold"].tolist() == pytest.approx([0, 0.385, 0.44, 0.165, -0.44])
    assert run["chooses"].tolist() == pytest.approx([-4 + value for value in (0, 0.385, 0.44, 0.165, -0.44)])


def test_the_thick_line_is_the_mean_of_the_seeds_and_the_thin_ones_are_they(drawn: Drawn) -> None:
    axes = drawn.figure.subfigs[0].axes
    assert [each.get_title() for each in axes] == [f"{name}, after SFT (n=3)" for name in ("PPO", "APA", "AWR")]
    lines = [line for line in axes[0].lines if len(line.get_xdata()) == len(apa_runs.STEPS)]
    thick = [line for line in lines if line.get_linewidth() > 1]
    assert len(lines) == 8 and len(thick) == 2
    assert thick[0].get_ydata() == pytest.approx([share**0.5 for share in (0, 0.25, 0.5, 0.75, 1)])
    assert thick[1].get_ydata() == pytest.approx([0, 0.35, 0.4, 0.15, -0.4])
    assert thick[0].get_xdata() == pytest.approx(thick[1].get_xdata())
    thin = sorted(line.get_ydata()[-1] for line in lines if line not in thick)
    assert thin == pytest.approx([-0.44, -0.4, -0.36, 0.9, 1.0, 1.1])
    assert {line.get_linestyle() for line in (lines[0], thick[0])} == {"--"} and thick[1].get_linestyle() == "-"


def test_the_start_has_no_kl_and_estimates_below_zero_count_as_none(tmp_path: Path) -> None:
    apa_runs.write(tmp_path, gold_runs.config("ppo", 0), [
        (step, metrics | {"policy/kl": {0: 0.3, 5: -0.1}.get(step, metrics["policy/kl"])})
        for step, metrics in gold_runs.rows_of(*gold_runs.PATHS["ppo"], 0)
    ])  # fmt: skip
    assert gold.gains(frames_of(tmp_path))["kl"].tolist() == [0, 0, 8, 12, 16]


def test_the_best_is_chosen_by_other_prompts_than_it_is_reported_on(tmp_path: Path) -> None:
    """Gold of validation prompts is highest at step 15, that of test prompts at step 10."""

    def later(seed: int, step: int, metrics: dict[str, float]) -> dict[str, float]:
        return metrics | {"eval/validation/gold": 9.0 if step == 15 else 0.0}

    (row,) = changed(tmp_path, later).to_dict("records")
    assert (row["first_best"], row["last_best"], row["best_kl"], row["end_kl"]) == (15, 15, 12, 16)
    found = intervals.mean([(1 + 0.1 * (seed - 1)) * (-0.4 - 0.15) for seed in apa_runs.SEEDS])
    names = ("gold_after", "gold_after_low", "gold_after_high")
    assert [row[name] for name in names] == pytest.approx([found.value, found.low, found.high])


def test_of_several_best_evaluations_the_first_counts(tmp_path: Path) -> None:
    (row,) = changed(tmp_path, lambda seed, step, found: found | {"eval/validation/gold": 1.0}).to_dict("records")
    assert (row["first_best"], row["last_best"]) == (0, 0)
    assert row["gold_after"] == pytest.approx(row["gold_gain"]) and row["verdict"] == gold.OVER


def test_a_fall_beside_a_proxy_that_does_not_rise_is_no_over_optimisation(tmp_path: Path) -> None:
    def falls(seed: int, step: int, metrics: dict[str, float]) -> dict[str, float]:
        return metrics | {"eval/test/reward": 1.0 if step == 10 else 0.0}

    (row,) = changed(tmp_path, falls).to_dict("records")
    assert row["gold_after_high"] < 0 and row["proxy_after"] < 0 and row["verdict"] == gold.OPEN


@pytest.mark.parametrize(
    ("proxy", "fall", "said"),
    [
        ((0.1, 0.3), (-0.5, -0.1), gold.OVER),
        ((0.0, 0.3), (-0.5, -0.1), gold.OPEN),
        ((0.1, 0.3), (-0.5, 0.0), gold.OPEN),
        ((-0.1, 0.3), (-0.5, 0.1), gold.OPEN),
        ((0.1, 0.3), (0.0, 0.0), gold.KEEPS),
        ((-0.1, 0.3), (0.1, 0.2), gold.KEEPS),
        ((math.nan, math.nan), (-0.5, -0.1), ""),
        ((0.1, 0.3), (math.nan, math.nan), ""),
    ],
)
def test_a_verdict_needs_both_intervals_apart_from_zero(proxy: tuple, fall: tuple, said: str) -> None:
    assert gold.verdict(*(Estimate(sum(ends) / 2, *ends) for ends in (proxy, fall))) == said


def test_one_seed_has_no_verdict_and_no_validation_prompts_no_best(tmp_path: Path) -> None:
    rows = gold_runs.rows_of(*gold_runs.PATHS["ppo"], 0)
    apa_runs.write(tmp_path, gold_runs.config("ppo", 0), rows)
    (one,) = over_optimisation.draw(frames_of(tmp_path))
    assert one.cells["verdict"].tolist() == ["-"] and one.cells["gold after"][0].startswith("-0.720 [-, -]")
    for seed in apa_runs.SEEDS:
        kept = [
            (step, {name: value for name, value in metrics.items() if "validation" not in name})
            for step, metrics in gold_runs.rows_of(*gold_runs.PATHS["apa"], seed)
        ]
        apa_runs.write(tmp_path, gold_runs.config("apa", seed), kept)
    (both,) = over_optimisation.draw(frames_of(tmp_path))
    row = both.cells.set_index("algorithm").loc["APA, after SFT"]
    assert [row[name] for name in ("best step", "proxy after", "gold after", "verdict")] == ["-"] * 4
    assert row["gold gain"].startswith("+0.500 [") and row["KL"] == "- → 4.00"


def test_runs_that_told_no_kl_have_no_panel_and_a_row(tmp_path: Path) -> None:
    rows = gold_runs.rows_of(*gold_runs.PATHS["apa"], 0)
    silent = [(step, {name: value for name, value in found.items() if name != "policy/kl"}) for step, found in rows]
    apa_runs.write(tmp_path, gold_runs.config("awr", 0), silent)
    apa_runs.write(tmp_path, gold_runs.config("apa", 0), rows)
    (figure,), (table,) = (list(file.draw(frames_of(tmp_path))) for file in (gold_and_proxy, over_optimisation))
    assert [axes.get_title() for axes in figure.figure.subfigs[0].axes] == ["APA, after SFT (n=1)"]
    assert "Without a panel, as their runs told no KL: AWR." in " ".join(
        figure.figure.subfigs[1].texts[0].get_text().split()
    )
    assert len(table.cells) == 2 and set(figure.data["algo"]) == {"apa"}


def test_runs_without_gold_or_without_a_look_at_their_start_are_left_out(tmp_path: Path) -> None:
    apa_runs.write_online(tmp_path, "apa_hh", "hh")
    rows = gold_runs.rows_of(*gold_runs.PATHS["ppo"], 0)
    apa_runs.write(tmp_path, gold_runs.config("ppo", 0), rows[1:])
    apa_runs.write(tmp_path, gold_runs.config("apa", 0), rows[:1])
    found = frames_of(tmp_path)
    assert list(gold_and_proxy.draw(found)) == [] == list(over_optimisation.draw(found))


def test_a_sweep_shows_the_runs_that_it_found_done_in_another(tmp_path: Path) -> None:
    gold_runs.write_gold(tmp_path)
    ppo = [run.folder for run in runs.find_runs(tmp_path) if run.config["algo"]["name"] == "ppo"]
    runs.note_elsewhere(tmp_path, "other", {str(i): folder for i, folder in enumerate(ppo)})
    found = frames_of(tmp_path)
    keys = {each.name.split("-")[1]: len(each.keys) for each in gold_and_proxy.draw(found)}
    (table,) = over_optimisation.draw(found)
    assert keys == {"apa_tldr": 9, "other": 3} and table.cells["sweep"].tolist() == ["apa_tldr"] * 3 + ["other"]


def test_sweeps_without_a_gold_reward_are_asked_for(tmp_path: Path) -> None:
    apa_runs.write_online(tmp_path, "apa_tldr", "tldr")
    commands = set(everything.missing(load.load_runs(tmp_path), whole=True)["command"])
    assert any("+sweep=apa_tldr" in command for command in commands)
    gold_runs.write_gold(tmp_path)
    found = load.load_runs(tmp_path)
    assert not any("+sweep=apa_tldr" in command for command in everything.missing(found, whole=True)["command"])
    assert [wanted.of(found).empty for wanted in APA_GOLD] == [True, True, False]
