"""Rows of the user's own, and rows that bring responses: what is refused before the start, and what must come first."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab.commands.arguments import as_hydra_wants
from rftlab.config.compose import Composer
from rftlab.config.options import CONF
from rftlab.config.sources import refuse_edited
from rftlab.errors import UserError
from rftlab.runs.parents import needed_runs
from rftlab.sweeps.job import Job

Plan = Callable[..., Job]

PROMPT = "data.prompt.column=q"
PAIRS = (PROMPT, "data.chosen.column=w", "data.rejected.column=l")
SCORED = (PROMPT, "data.response.column=r", "data.score.column=v")


@pytest.fixture(scope="module")
def plan() -> Iterator[Plan]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composer = Composer(GlobalHydra.instance().config_loader())
        yield lambda *words: composer.job(as_hydra_wants(words))


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "rows.csv"
    file.write_text("q,a\nx,y\n")
    return f"data.path={file}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("algo=sft",), r"data\.prompt\.column=null"),
        (("algo=sft", PROMPT), r"algo=sft with data=file, of which no column holds gold texts.*data\.target\.column"),
        (("algo=ppo", PROMPT), r"algo=ppo with data=file, which has no reward"),
        (("algo=dpo", PROMPT), r"algo=dpo with data=file, of which no column holds responses.*data\.responses=false"),
        (("algo=dpo", PROMPT, "data.chosen.column=w"), r"data\.chosen\.column=w with data\.rejected\.column=null"),
        (("algo=dpo", PROMPT, "data.score.column=v"), r"data\.score\.column=v with data\.response\.column=null"),
        (("algo=dpo", *PAIRS, *SCORED), r"scored responses or pairs, not both"),
        (("algo=offline_apa", *SCORED), r"no reward with data=file, of which no column holds gold texts"),
        (("algo=dpo", *PAIRS, "algo.responses.parent.overrides=[algo=responses]"), r"data\.responses=true"),
        (("algo=dpo", *PAIRS, "data.responses=false"), r"algo=dpo with data=file, which has no reward"),
        (("algo=dpo", *PAIRS, "data.source=hub"), r"data\.source=hub with data=file"),
        (("algo=ppo", PROMPT, "reward=rouge_l_max", "data.needs_targets=true"), r"data\.needs_targets=true"),
    ],
)  # fmt: skip
def test_columns_that_do_not_go_together_are_refused(
    plan: Plan, path: str, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        plan("data=file", path, *words)
    assert "\n" not in str(refusal.value)


def test_a_file_is_refused_where_it_is_not_there_or_has_no_known_ending(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("q\nx\n")
    for said, words in (
        ("null", "data.path=null"),
        (tmp_path / "no.csv", "there is no file"),
        (tmp_path / "rows.txt", "ends"),
    ):
        with pytest.raises(UserError, match=words):
            plan("data=file", f"data.path={said}", PROMPT, "algo=ppo", "reward=rouge_l_max")
    with pytest.raises(UserError, match=r"data\.source=file with data=imdb"):
        plan("data=imdb", "data.source=file")


def test_the_content_of_the_file_is_part_of_the_key_and_an_edit_is_noticed_at_a_resume(plan: Plan, path: str) -> None:
    words = ("data=file", path, PROMPT, "data.target.column=a", "algo=sft")
    before = plan(*words)
    refuse_edited(before.config, "run")
    file = Path(path.partition("=")[2])
    file.write_text("q,a\nx,z\n")
    assert plan(*words).key != before.key
    with pytest.raises(UserError, match=r"rows\.csv, edited or moved since run got its key"):
        refuse_edited(before.config, "run")


@pytest.mark.parametrize("algo", ["dpo", "reward_model", "offline_apa", "offline_awr", "ilql"])
def test_rows_with_responses_need_no_run_that_samples_some(plan: Plan, path: str, algo: str) -> None:
    job = plan("data=file", path, *PAIRS, f"algo={algo}")
    assert (job.parents, job.config["algo"]["responses"]) == ((), {"run": None, "parent": None})
    sampled = plan("data=file", path, *PAIRS, f"algo={algo}", "data.responses=false", "reward=rouge_l_max")
    assert [parent.config["algo"]["name"] for parent in sampled.parents] == ["responses"]
    assert sampled.parents[0].key == plan(
        "data=file", path, *PAIRS, "algo=responses", "reward=rouge_l_max"
    ).key  # whose data says nothing of it  # fmt: skip


def test_a_learned_reward_is_trained_on_the_pairs_of_the_rows(plan: Plan, path: str) -> None:
    job = plan("data=file", path, *PAIRS, "algo=ppo", "reward=learned")
    (judge,) = job.parents
    assert needed_runs(job.config) == {"reward.run": judge.key}
    assert (judge.config["algo"]["name"], judge.config["reward"], judge.parents) == ("reward_model", None, ())
    assert judge.key == plan("data=file", path, *PAIRS, "algo=reward_model").key


@pytest.mark.parametrize("data", ["hh", "tldr", "stack_exchange"])
def test_the_default_reward_is_a_model_of_the_pairs_of_the_rows_and_that_one_has_none(plan: Plan, data: str) -> None:
    alone = plan(f"data={data}", "algo=reward_model", "start=base")
    assert (alone.config["reward"], alone.parents) == (None, ())
    alone = plan(f"data={data}", "algo=reward_model")
    job = plan(f"data={data}", "algo=ppo", "heuristic=partial_sft")
    start, judge = job.parents
    assert needed_runs(job.config) == {"init_from": start.key, "reward.run": judge.key}
    assert judge.key == alone.key
    assert [parent.key for parent in start.parents] == [alone.key]  # one reward model evaluates both
    assert [parent.key for parent in plan(f"data={data}", "algo=dpo", "start=base").parents] == [alone.key]


def test_runs_that_are_evaluated_otherwise_share_one_reward_model(plan: Plan) -> None:
    keys = {
        plan("data=hh", "algo=ppo", "start=base", word).parents[0].key
        for word in ("eval.n_test=7", "eval.probe_samples=5")
    }
    assert keys == {plan("data=hh", "algo=reward_model").key}


def test_sampled_responses_of_such_data_are_scored_by_the_same_model(plan: Plan) -> None:
    job = plan("data=hh", "algo=offline_apa", "data.responses=false", "start=base")
    alone = plan("data=hh", "algo=reward_model").key
    assert [parent.config["algo"]["name"] for parent in job.parents] == ["reward_model", "responses"]
    assert job.parents[0].key == alone == job.parents[1].parents[1].key  # behind the SFT of what samples


def test_a_reward_that_was_chosen_for_a_reward_model_stays(plan: Plan) -> None:
    job = plan("data=hh", "algo=reward_model", "reward=rouge_l_max")
    assert job.config["reward"]["_target_"].endswith("RougeLMax") and job.parents == ()


def test_sft_has_prompts_of_its_own_where_the_dataset_has_some(plan: Plan) -> None:
    job = plan("data=stack_exchange", "algo=ppo", "heuristic=partial_sft")
    start, judge = (parent.config["data"]["loader"]["prompts_dir"] for parent in job.parents)
    assert (job.config["data"]["loader"]["prompts_dir"], start, judge) == ("data/rl", "data/finetune", "data/rl")
    words = ("data=stack_exchange", "algo=offline_apa", "data.responses=false", "data.loader.prompts_dir=data/finetune")
    assert plan(*words, "start=base").parents[1].config["data"]["loader"]["prompts_dir"] == "data/finetune"
