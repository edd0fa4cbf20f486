"""The figure of a search: values in order, the best so far, and trials without a value."""

from pathlib import Path

import pytest
from sweeps.finished import done, failed, job_of

from analysis import everything, load
from analysis.drawing.save import Drawn
from analysis.figures import search as figure
from analysis.statistics import searches, stats
from analysis.statistics.frames import Frames
from rftlab import runs
from rftlab.runs.searches import Search, Tried, write_search

VALUES = (0.3, None, 0.5, 0.4)  # of trials 0 to 3; the second was pruned


def frames(outputs: Path, values: tuple = VALUES, direction: str = "maximize") -> Frames:
    tried = []
    for number, value in enumerate(values):
        lr = 10.0 ** (number - 5)
        jobs = [job_of(outputs, seed, lr) for seed in (0, 1)]
        for job in jobs:
            done(job, value) if value is not None else runs.prune(failed(job, "", "stopped").folder, {"reason": "x"})
        tried.append(
            Tried(
                number=number,
                state="pruned" if value is None else "done",
                params={"optimizer.lr": str(lr)},
                runs={str(job.config["seed"]): job.key for job in jobs},
                value=value,
                values={} if value is None else {"0": value - 0.1, "1": value + 0.1},
                looks={},
            )
        )
    write_search(
        outputs,
        Search(
            sweep="sweep",
            metric="eval/validation/reward",
            direction=direction,
            judged_by=None,
            n_trials=4,
            seeds=[0, 1],
            space={"optimizer.lr": "tag(log, interval(1e-5,1e-2))"},
            trials=tried,
        ),
    )
    kept, _ = stats.one_run_per_seed(load.load_runs(outputs))
    return everything.read(outputs, None, kept)


def only(outputs: Path, **changes: object) -> Drawn:
    (drawn,) = figure.draw(frames(outputs, **changes))  # ty: ignore[invalid-argument-type]
    return drawn


def test_what_is_drawn_is_every_trial_with_the_best_value_up_to_it(tmp_path: Path) -> None:
    drawn = only(tmp_path)
    assert drawn.name == "search-sweep" and list(drawn.data["trial"]) == [0, 1, 2, 3]
    assert list(drawn.data["best"]) == [0.3, 0.3, 0.5, 0.5]
    assert list(drawn.data["state"]) == ["done", "pruned", "done", "done"]
    assert list(drawn.data["optimizer.lr"]) == ["1e-05", "0.0001", "0.001", "0.01"]
    assert len(drawn.keys) == 8
    left, right = drawn.figure.subfigs[0].axes
    assert left.get_xlabel() == "trial" and (right.get_xlabel(), right.get_xscale()) == ("optimizer.lr", "log")


def test_the_lowest_value_is_the_best_where_less_is_better(tmp_path: Path) -> None:
    assert list(only(tmp_path, direction="minimize").data["best"]) == pytest.approx([0.3] * 4)


def test_a_search_without_a_finished_trial_and_a_sweep_without_a_search_have_no_figure(tmp_path: Path) -> None:
    assert list(figure.draw(frames(tmp_path / "a", (None,)))) == []
    done(job_of(tmp_path / "b", 0), 0.5)
    kept, _ = stats.one_run_per_seed(load.load_runs(tmp_path / "b"))
    assert searches.trials(everything.read(tmp_path / "b", None, kept)).empty
