"""`compare`: which runs make a cell, what counts as better, and what is said where nothing can be."""

import math
from pathlib import Path

import pytest
import torch

from rftlab import runs
from rftlab.errors import UserError
from rftlab.loops.guard import refuse_broken_network, refuse_divergence
from rftlab.sweeps.asked import note_asked
from rftlab.sweeps.comparison import DIVERGED, Comparison, compare
from rftlab.sweeps.comparison_table import answer, legend, sentences, verdict
from sweeps.finished import Y, done, failed, grid, job_of


def only(outputs: Path, *arguments: object, **keywords: object) -> Comparison:
    (found,) = compare(outputs, "sweep", *arguments, **keywords)  # ty: ignore[invalid-argument-type]
    return found


def test_axes_are_what_the_runs_were_asked_to_differ_in(tmp_path: Path) -> None:
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    found = only(tmp_path)
    assert found.axes == ("optimizer.lr",)
    assert [row.cell.settings for row in found.rows] == [{"optimizer.lr": 5e-4}, {"optimizer.lr": 1e-4}]
    assert found.rows[0].cell.values == pytest.approx({0: 0.69, 1: 0.70, 2: 0.71})


def test_the_best_is_named_so_where_intervals_tell_it_apart(tmp_path: Path) -> None:
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    found = only(tmp_path)
    assert found.decided and [verdict(found, row) for row in found.rows] == ["best", "lower"]
    assert answer(found).startswith("Best: optimizer.lr=0.0005")
    assert "lower by 0.200 [0.200, 0.200] (paired, 3 seeds)" in answer(found)


def test_what_is_not_told_apart_is_named_and_nothing_is_best(tmp_path: Path) -> None:
    for lr, values in {1e-4: (0.5, 0.8, 0.6), 5e-4: (0.7, 0.6, 0.75), 1e-3: (0.1, 0.1, 0.1)}.items():
        for seed, value in enumerate(values):
            done(job_of(tmp_path, seed, lr), value)
    found = only(tmp_path)
    assert not found.decided
    assert [verdict(found, row) for row in found.rows] == ["highest", "not told apart", "lower"]
    assert "not told apart from optimizer.lr=0.0001:" in answer(found)


def test_one_seed_decides_nothing_and_says_so(tmp_path: Path) -> None:
    grid(tmp_path, {1e-4: 0.1, 5e-4: 0.9}, seeds=1)
    found = only(tmp_path)
    assert not found.decided
    assert "one seed has no interval; more seeds would tell" in answer(found)


def test_a_few_seeds_are_named_as_few(tmp_path: Path) -> None:
    grid(tmp_path, {1e-4: 0.1, 5e-4: 0.9}, seeds=2)
    assert any("With 2 seeds an interval is wide" in said for said in sentences(only(tmp_path)))


def test_less_is_better_where_it_is_asked_for(tmp_path: Path) -> None:
    grid(tmp_path, {1e-4: 0.5, 5e-4: 0.7})
    found = only(tmp_path, lower=True)
    assert found.rows[0].cell.settings == {"optimizer.lr": 1e-4}
    assert [verdict(found, row) for row in found.rows] == ["best", "higher"]


def test_runs_without_a_number_are_counted_by_their_reason(tmp_path: Path) -> None:
    grid(tmp_path, {1e-4: 0.5})
    failed(job_of(tmp_path, 7), "CUDA out of memory")
    failed(job_of(tmp_path, 8), "policy/loss is nan at optimiser step 3; expected a finite number; change optimizer.lr")
    failed(job_of(tmp_path, 9), "", state="stopped")
    done(job_of(tmp_path, 10), math.nan)
    runs.prune(failed(job_of(tmp_path, 13), "", state="stopped").folder, {"reason": "pruned at step 1"})
    note_asked(tmp_path, "sweep", [job_of(tmp_path, 11), job_of(tmp_path, 12, lr=1e-2)])
    first, second = only(tmp_path).rows
    assert first.cell.unfinished == {"failed": 1, "diverged": 2, "pruned": 1, "missing": 2}
    assert len(first.cell.values) == 3 and not second.cell.values
    assert second.cell.settings == {"optimizer.lr": "0.01"} and second.cell.unfinished["missing"] == 1
    assert "3 runs counted, 1 failed, 2 diverged, 1 pruned, 3 missing." in sentences(only(tmp_path))


def test_a_kl_far_below_zero_is_told_and_noise_around_it_is_not(tmp_path: Path) -> None:
    for seed in (0, 1):
        done(job_of(tmp_path, seed), 0.5, **{"policy/kl": -0.4})
    said = "A KL far below 0 is none: tokens are drawn by another policy than the one that is scored."
    assert said not in sentences(only(tmp_path))
    for seed in (0, 1):
        done(job_of(tmp_path, seed, lr=1e-2), 0.5, **{"policy/kl": -40.0})
    assert said in sentences(only(tmp_path))


def test_the_guards_words_are_known_as_divergence() -> None:
    network = torch.nn.Linear(1, 1)
    with pytest.raises(UserError) as loss:
        refuse_divergence({"policy/loss": math.nan}, 3)
    with pytest.raises(UserError) as output:
        refuse_broken_network(network, torch.tensor([math.inf]), 3)
    assert all(DIVERGED.search(str(error.value)) for error in (loss, output))
    assert not DIVERGED.search("the file is nan.csv")


def test_rewards_of_two_datasets_are_not_compared(tmp_path: Path) -> None:
    done(job_of(tmp_path, 0), 0.9)
    done(job_of(tmp_path, 0, data={"name": "totto", "source": "bundled"}), 0.1)
    assert [each.title.split(",")[0] for each in compare(tmp_path, "sweep")] == ["imdb", "totto"]


def test_settings_that_are_left_out_are_averaged_within_each_seed(tmp_path: Path) -> None:
    for lr, beta, seed, y in [(1e-4, 0.0, 0, 0.2), (1e-4, 0.1, 0, 0.4), (1e-4, 0.0, 1, 0.6), (5e-4, 0.0, 0, 0.1)]:
        done(job_of(tmp_path, seed, lr, beta), y)
    found = only(tmp_path, by=["optimizer.lr"])
    assert found.rows[0].cell.values == {0: pytest.approx(0.3)}  # seed 1 lacks one of the two betas
    assert found.pooled == ("algo.loss.beta",)


def test_a_changed_default_parts_cells_that_were_asked_for_alike(tmp_path: Path) -> None:
    done(job_of(tmp_path, 0), 0.5)
    done(job_of(tmp_path, 1, optimizer={"name": "adamw", "lr": 1e-4, "eps": 1e-6}), 0.5)
    found = only(tmp_path)
    assert found.axes == ("optimizer.eps",) and len(found.rows) == 2


def test_what_changes_along_with_an_axis_is_named(tmp_path: Path) -> None:
    for lr, beta in [(1e-4, 0.0), (5e-4, 0.1), (1e-3, 0.1)]:
        done(job_of(tmp_path, 0, lr, beta), lr)
    found = only(tmp_path)
    assert (found.axes, found.also) == (("optimizer.lr",), ("algo.loss.beta",))


def test_parents_that_nobody_asked_for_are_no_cell(tmp_path: Path) -> None:
    parent = done(job_of(tmp_path, 0, algo={"name": "sft", "loop": {"steps": 3}}, overrides=["algo=sft"]), 0.99)
    child = done(job_of(tmp_path, 0, init_from=parent.key, parent={"overrides": ["algo=sft"]}), 0.5)
    assert only(tmp_path).parents == 1 and len(only(tmp_path).rows) == 1
    note_asked(tmp_path, "sweep", [parent, child])
    assert len(only(tmp_path).rows) == 2


@pytest.mark.parametrize(("arguments", "key"), [({"y": "eval/tset/reward"}, "--y"), ({"by": ["optimizer.rl"]}, "--by")])
def test_what_no_run_has_is_refused(tmp_path: Path, arguments: dict, key: str) -> None:
    grid(tmp_path, {1e-4: 0.5})
    with pytest.raises(UserError, match=key) as error:
        compare(tmp_path, "sweep", **arguments)
    assert Y in str(error.value) or "optimizer.lr" in str(error.value) or "config.yaml" in str(error.value)


def test_interquartile_means_are_compared_where_they_are_asked_for(tmp_path: Path) -> None:
    for lr, values in {1e-4: (0.5, 0.51, 0.49, 0.5, -9.0), 5e-4: (0.4, 0.41, 0.39, 0.4, 0.4)}.items():
        for seed, value in enumerate(values):
            done(job_of(tmp_path, seed, lr), value)
    plain, middle = only(tmp_path), only(tmp_path, middle=True)
    assert [row.cell.settings["optimizer.lr"] for row in plain.rows] == [5e-4, 1e-4]  # by the one seed that broke
    assert [row.cell.settings["optimizer.lr"] for row in middle.rows] == [1e-4, 5e-4]
    assert middle.rows[0].cell.mean.value == pytest.approx(0.49667, abs=1e-4)
    assert "Interquartile" in legend([middle]) and "Interquartile" not in legend([plain])
    assert any("no other value" in said for said in sentences(only_few(tmp_path / "few")))


def only_few(outputs: Path) -> Comparison:
    grid(outputs, {1e-4: 0.5, 5e-4: 0.7})
    return only(outputs, middle=True)
