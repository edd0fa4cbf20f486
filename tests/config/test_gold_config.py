"""The gold reward of a run: a second reward model, one for all seeds, which moves no other key."""

from collections.abc import Mapping

import pytest
from test_config import plan

from rftlab.errors import UserError
from rftlab.runs.identity import identity, run_key
from rftlab.runs.parents import needed_runs

KEY = "0123456789ab"
ALONE = ("algo=reward_model", "data.loader.seed=1", "start=base", "seed=0")
DATA = ["hh", "tldr", "stack_exchange"]


def without(config: Mapping) -> dict:
    return {key: value for key, value in config.items() if key != "gold"}


@pytest.mark.parametrize("words", [["data=hh", "algo=apa"], ["data=imdb"], ["data=mnist", "algo=expected_reinforce"]])
def test_a_run_without_gold_has_the_key_of_before_there_was_any(words: list[str]) -> None:
    job = plan(*words)
    assert job.config["gold"] is None
    assert job.key == run_key(without(job.config)) == plan(*words, "gold=none").key


@pytest.mark.parametrize("data", DATA)
def test_gold_of_all_seeds_and_algorithms_is_the_one_run_that_its_words_make_alone(data: str) -> None:
    alone = plan(f"data={data}", *ALONE).key
    jobs = [plan(f"data={data}", f"algo={algo}", f"seed={seed}", "gold=reward_model", "eval.n_test=7")
            for algo in ("ppo", "awr") for seed in (0, 3)]  # fmt: skip
    assert {job.config["gold"]["run"] for job in jobs} == {alone}
    assert all(alone in {parent.key for parent in job.parents} for job in jobs)
    assert alone not in {job.config["reward"]["run"] for job in jobs}
    few = plan(f"data={data}", "gold=reward_model", "data.loader.n_train=50").config["gold"]["run"]
    assert few == plan(f"data={data}", *ALONE, "data.loader.n_train=50").key != alone


@pytest.mark.parametrize("words", [["algo=ppo"], ["algo=ilql"], ["algo=dpo"], ["heuristic=partial_sft"]])
def test_gold_changes_nothing_that_comes_before_a_run_and_nothing_else_of_it(words: list[str]) -> None:
    plain, gold = plan("data=hh", *words), plan("data=hh", *words, "gold=reward_model")
    assert plain.key != gold.key
    assert {run.key for run in gold.parents} == {*(run.key for run in plain.parents), gold.config["gold"]["run"]}
    assert without(identity(gold.config)) == identity(plain.config)
    assert all(run.config["gold"] is None for run in gold.parents)


def test_a_run_that_is_named_is_taken_and_makes_nothing() -> None:
    job = plan("data=hh", "gold=reward_model", f"gold.run={KEY}", "gold.at_chance=true")
    assert needed_runs(job.config)["gold.run"] == KEY and job.config["gold"]["parent"] is None
    assert len(job.parents) == 2 and job.config["gold"]["at_chance"] is True


def test_other_words_make_another_gold_reward() -> None:
    words = "gold.parent.overrides=[algo=reward_model,data.loader.seed=2,seed=1]"
    assert plan("data=tldr", "gold=reward_model", words).config["gold"]["run"] == plan(
        "data=tldr", "algo=reward_model", "data.loader.seed=2", "seed=1"
    ).key  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data=hh", "algo=sft", "reward=none"], "algo=sft on data=hh, whose evaluations have no reward"),
        (["data=hh", "algo=reward_model"], "algo=reward_model on data=hh, whose evaluations have no reward"),
        (["data=mnist", "algo=sft"], "algo=sft on data=mnist, whose evaluations have no reward"),
        (["data=hh", "algo=diagnose"], "algo=diagnose, which evaluates no policy"),
        (["data=hh", "algo=responses"], "algo=responses, which evaluates no policy"),
    ],
)
def test_gold_where_no_reward_scores_evaluations_is_refused_in_one_line(words: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        plan(*words, "gold=reward_model")
    assert f"gold=... with {said}; expected gold=none" in str(error.value) and "\n" not in str(error.value)


def test_a_gold_run_that_is_no_key_is_refused() -> None:
    with pytest.raises(UserError, match=r"gold\.run"):
        plan("data=hh", "gold=reward_model", "gold.run=none-such")
    with pytest.raises(UserError, match=r"gold\.batch_size=0"):
        plan("data=hh", "gold=reward_model", "gold.batch_size=0")
