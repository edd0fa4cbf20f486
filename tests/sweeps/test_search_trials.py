"""The course of a search: which runs come, what a trial is worth, what is given up, and how it goes on after a kill."""

import math
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution

from rftlab import runs
from rftlab.errors import UserError
from rftlab.files import FileLock
from rftlab.runs.searches import read_search, write_search
from rftlab.sweeps.search.space import Dimension
from rftlab.sweeps.search.study import JOURNAL
from sweeps.searching import METRIC, STEPS, Search, end, job_of, look

NAN = "policy/loss is nan at optimiser step 3; expected a finite number; change optimizer.lr"
CHOICE = Dimension(
    key="optimizer.lr", given="choice(0.1,0.2)", distribution=CategoricalDistribution(("0.1", "0.2")),
    listed=("0.1", "0.2"),
)  # fmt: skip


def params(search: Search) -> list[str]:
    return [trial.params["optimizer.lr"] for trial in search.summary.trials]


def states(search: Search) -> list[str]:
    return [trial.state for trial in search.summary.trials]


def test_a_trial_is_a_run_per_seed_and_worth_their_mean(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=2, seeds=(3, 5))
    search.run(lambda job: search.finish(job, 1.0 if job.config["seed"] == 3 else 0.0))
    for trial in search.summary.trials:
        keys = [job_of(tmp_path, [f"optimizer.lr={trial.params['optimizer.lr']}", f"seed={n}"]).key for n in (3, 5)]
        assert dict(trial.runs) == {"3": keys[0], "5": keys[1]}
        assert (trial.state, trial.value, dict(trial.values)) == ("done", 0.5, {"3": 1.0, "5": 0.0})


def test_so_many_runs_are_under_way_as_may_be(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=9, n_jobs=3)
    jobs = search.more()
    assert len(jobs) == 3 and not search.more()
    search.finish(jobs[1])
    assert len(search.more()) == 1 and search.trials.open


def test_no_more_trials_than_asked_for_those_of_earlier_commands_included(tmp_path: Path) -> None:
    first = Search(tmp_path, n_trials=2)
    first.run()
    first.study.close()
    again = Search(tmp_path, n_trials=2)
    assert again.run() == [] and not again.trials.open
    again.study.close()
    assert len(Search(tmp_path, n_trials=5).run()) == 3


@pytest.mark.parametrize("killed_after", [1, 4, 5])
def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path: Path, killed_after: int) -> None:
    whole = Search(tmp_path / "whole", n_trials=7)
    whole.run()
    broken = Search(tmp_path / "broken", n_trials=7)
    broken.run(most=killed_after)  # the last one has ended, and nobody told the study
    broken.study.close()
    resumed = Search(tmp_path / "broken", n_trials=7)
    resumed.run()
    assert params(resumed) == params(whole) and len(set(params(whole))) == 7
    assert states(resumed) == ["done"] * 7


def test_a_run_that_was_under_way_at_the_kill_is_started_again(tmp_path: Path) -> None:
    first = Search(tmp_path)
    (job,) = first.more()
    end(job, "running")
    first.study.close()
    again = Search(tmp_path)
    assert [each.key for each in again.more()] == [job.key]


def test_a_run_that_is_done_elsewhere_is_not_computed_again(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=1, space=CHOICE)
    for lr in ("0.1", "0.2"):
        job = job_of(tmp_path, [f"optimizer.lr={lr}", "seed=0"])
        other = tmp_path / "grid" / job.folder.name
        runs.freeze(other, job.config)
        (other / "DONE").write_text('{"final": {"eval/validation/reward": 0.7}}')
    assert search.run() == []
    assert [trial.value for trial in search.summary.trials] == [0.7]


def test_equal_trials_share_their_runs(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=8, space=CHOICE)
    ran = search.run()
    assert len(ran) == len({job.key for job in ran}) == 2
    assert states(search) == ["done"] * 8


def test_a_run_of_another_command_is_waited_for_and_started_where_that_gave_up(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=1, space=CHOICE)
    jobs = [job_of(tmp_path, [f"optimizer.lr={lr}", "seed=0"]) for lr in ("0.1", "0.2")]
    for job in jobs:
        end(job, "running", heartbeat=9e12)
    assert search.more() == [] and search.trials.open
    for job in jobs:
        end(job, "stopped")
    (job,) = search.more()
    assert job.key in [each.key for each in jobs] and not search.trials.open


# --- failures -------------------------------------------------------------------------------------------------------


def test_a_failed_run_leaves_its_trial_open_for_the_next_command(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=2)
    (bad, _) = search.run(lambda job: search.fail(job, "No space left on device") if not search.ended else
                          search.finish(job))  # fmt: skip
    assert states(search) == ["open", "done"]
    search.study.close()
    again = Search(tmp_path, n_trials=2)
    assert [job.key for job in again.more()] == [bad.key]


def test_a_diverged_run_ends_its_trial_and_the_other_seeds(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=1, n_jobs=2, seeds=(0, 1))
    first, second = search.more()
    end(second, "running")
    search.fail(first, NAN)
    assert search.more() == [] and states(search) == ["diverged"]
    assert runs.pruned(second.folder)["reason"] == "another seed of trial 0 diverged"
    search.study.close()
    assert Search(tmp_path, n_trials=1, seeds=(0, 1)).run() == []


def test_a_value_that_is_no_number_is_a_divergence(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=1)
    search.run(lambda job: search.finish(job, math.nan))
    assert states(search) == ["diverged"] and search.summary.best is None


def test_a_metric_that_no_run_ends_with_is_told_with_those_it_has(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=1)
    with pytest.raises(UserError, match=r"eval/validation/reward, which run-.* a final metric \(eval/test/reward"):
        search.run(lambda job: search.finish(job, 1.0, metric="eval/test/reward"))


# --- pruning --------------------------------------------------------------------------------------------------------


def test_a_trial_that_is_worse_than_others_at_a_step_is_given_up(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=12, prunes=True)
    given_up, waiting = [], search.more()
    while waiting:
        (job,) = waiting
        worse = -float(len(search.ended))  # than all before
        look(job, {0: 9.0, 1: worse, STEPS: 9.0})  # before and after training nobody is judged
        end(job, "running")
        search.more()
        if runs.pruned(job.folder):
            given_up.append(job)
            search.ended[job.key] = "pruned"
        else:
            search.finish(job)
        waiting = search.more()
    assert states(search).count("pruned") == len(given_up) >= 3 and states(search)[0] == "done"
    for job in given_up:
        assert runs.state_of(job.folder) == "pruned"
        assert "pruned at step 1 of trial" in runs.pruned(job.folder)["reason"]
    for trial in search.summary.trials:
        assert set(trial.looks) <= {"1"}


def test_a_trial_is_judged_once_all_its_seeds_have_come_to_a_step(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=1, n_jobs=2, seeds=(0, 1), prunes=True)
    first, second = search.more()
    look(first, {1: 1.0, 2: 1.0})
    search.more()
    assert not search.summary.trials[0].looks
    look(second, {1: 0.5})
    search.more()
    assert dict(search.summary.trials[0].looks) == {"1": 0.75}


def test_a_trial_that_has_finished_is_not_given_up(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=12, prunes=True)

    def at_once(job) -> None:
        look(job, {1: -float(len(search.ended))})  # each is worse than all before
        search.finish(job)

    search.run(at_once)
    assert states(search) == ["done"] * 12


def test_a_trial_given_up_is_not_tried_again(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=1)
    (job,) = search.more()
    end(job, "stopped")
    runs.prune(job.folder, {"outcome": "pruned", "step": 1, "reason": "pruned at step 1"})  # and then the kill
    search.study.close()
    again = Search(tmp_path, n_trials=1)
    assert again.more() == [] and states(again) == ["pruned"]


def test_a_grid_takes_up_what_a_search_gave_up(tmp_path: Path) -> None:
    job = job_of(tmp_path, ["optimizer.lr=0.1", "seed=0"])
    end(job, "stopped")
    runs.prune(job.folder, {"reason": "pruned at step 1"})
    assert runs.state_of(job.folder) == "pruned"
    runs.take_up(job.folder)
    assert runs.state_of(job.folder) == "stopped"


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_another_space_or_rule_is_another_search(tmp_path: Path) -> None:
    Search(tmp_path).study.close()
    with pytest.raises(UserError, match=r"the space: optimizer.lr=choice.* was begun with optimizer.lr=interval"):
        Search(tmp_path, space=CHOICE)
    with pytest.raises(UserError, match=r"hydra.sweeper.direction: minimize .* change sweep.name"):
        Search(tmp_path, direction="minimize")


def test_one_command_works_on_a_search_at_a_time(tmp_path: Path) -> None:
    search = Search(tmp_path)
    lock = FileLock(tmp_path / "sweep" / ".search.lock")
    assert not lock.take(0.0)
    search.study.close()
    assert lock.take(0.0)
    with pytest.raises(UserError, match="another command that works on the search sweep"):
        Search(tmp_path)


def test_half_a_line_at_the_end_of_the_study_is_left_out(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=2)
    search.run()
    before = params(search)
    search.study.close()
    with (tmp_path / "sweep" / JOURNAL).open("a") as file:
        file.write('{"op_code": 4, "wor')
    again = Search(tmp_path, n_trials=4)
    assert len(again.run()) == 2 and params(again)[:2] == before


def test_what_was_tried_is_kept_for_readers_without_optuna(tmp_path: Path) -> None:
    search = Search(tmp_path, n_trials=3)
    search.run()
    write_search(tmp_path, search.summary)
    read = read_search(tmp_path, "sweep")
    assert read is not None and read.metric == METRIC
    assert read.best == max(search.summary.trials, key=lambda trial: trial.value or 0.0)
    assert [trial.params for trial in read.trials] == [trial.params for trial in search.summary.trials]
