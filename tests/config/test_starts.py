"""Where runs on preference data begin: after SFT, with one SFT for all that begin there, or as they are told."""

import shutil
from pathlib import Path

import pytest
from test_config import CONF, plan

from rftlab.config.scales import STARTS, Tables
from rftlab.config.signatures import method
from rftlab.errors import UserError
from rftlab.runs.parents import needed_runs

KEY = "0123456789ab"
DATA = ["hh", "tldr", "stack_exchange"]
LEARNERS = ["ppo", "apa", "awr", "grpo", "rejection", "offline_apa", "offline_awr", "ilql", "dpo", "responses"]


def algos(*words: str) -> list[str]:
    return [parent.config["algo"]["name"] for parent in plan(*words).parents]


@pytest.mark.parametrize("data", DATA)
def test_sft_comes_first_then_the_reward_model_then_the_policy(data: str) -> None:
    job = plan(f"data={data}", "algo=ppo")
    sft, judge = job.parents
    assert needed_runs(job.config) == {"init_from": sft.key, "reward.run": judge.key}
    assert (sft.config["algo"]["name"], sft.config["reward"], sft.parents) == ("sft", None, ())
    assert judge.key == plan(f"data={data}", "algo=reward_model").key
    assert [parent.key for parent in judge.parents] == ([] if data == "hh" else [sft.key])


@pytest.mark.parametrize("algo", LEARNERS)
def test_all_that_learn_on_the_data_begin_after_one_sft(algo: str) -> None:
    alone = plan("data=tldr", "algo=sft", "reward=none").key
    assert plan("data=tldr", f"algo={algo}", "eval.n_test=7", "eval.every=3").config["init_from"] == alone
    assert plan("data=tldr", f"algo={algo}", "data.loader.n_train=50").config["init_from"] != alone


def test_seeds_have_their_own_parents_and_algorithms_share_them() -> None:
    keys = [[parent.key for parent in plan("data=hh", f"algo={algo}", f"seed={seed}").parents]
            for algo in ("ppo", "apa") for seed in (0, 1)]  # fmt: skip
    assert keys[0] == keys[2] and keys[1] == keys[3] and not set(keys[0]) & set(keys[1])


def test_what_learns_from_no_score_begins_as_the_model_is() -> None:
    for words in (["data=hh", "algo=sft"], ["data=hh", "algo=diagnose"], ["data=hh", "algo=reward_model"]):
        assert plan(*words).config["init_from"] is None
    assert algos("data=imdb", "algo=ppo") == []


def test_a_word_chooses_another_start() -> None:
    base = plan("data=hh", "algo=ppo", "start=base")
    assert (base.config["parent"], base.config["init_from"]) == (None, None)
    assert [parent.config["algo"]["name"] for parent in base.parents] == ["reward_model"]
    given = plan("data=hh", "algo=ppo", f"init_from={KEY}")
    assert (given.config["parent"], given.config["init_from"]) == (None, KEY)
    assert given.key == plan("data=hh", "algo=ppo", "start=base", f"init_from={KEY}").key
    assert algos("data=imdb", "algo=ppo", "start=sft") == ["sft"]
    part = plan("data=hh", "algo=ppo", "heuristic=partial_sft").parents[0].config["algo"]["loop"]
    assert part["step_fraction"] == 0.4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data=hh", "start=sft", f"init_from={KEY}"], f"init_from={KEY} with start=sft; expected one of them"),
        (["data=hh", "heuristic=partial_sft", f"init_from={KEY}"], f"init_from={KEY} with heuristic=partial_sft"),
        (["data=mnist", "algo=sft", "start=sft"], "start=sft with data=mnist; expected start=base"),
        (["data=hh", "reward=none"], "algo=ppo with data=hh, which has no reward"),
        (["data=hh", "algo=ilql", "reward=none"], "algo.loop.scores=reward with no reward"),
    ],
)
def test_starts_and_rewards_that_cannot_be_are_refused_in_one_line(words: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        plan(*words)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "parents"),
    [
        (["data=hh"], []),  # pythia 125M after SFT, and a published reward model
        (["data=hh", "model=pythia_6b_sft"], []),
        (["data=hh", "model=pythia_1b"], ["sft"]),
        (["data=hh", "model=dolly_7b"], []),
        (["data=tldr"], []),
        (["data=tldr", "model=gpt_neo_2_7b"], ["sft"]),
        (["data=tldr", "model=pythia_1b_sft"], ["sft"]),  # after SFT, on other data
        (["data=stack_exchange"], ["sft", "reward_model"]),
        (["data=hh", "reward=learned"], ["reward_model"]),
    ],
)
def test_at_scale_paper_what_is_published_is_not_trained_again(words: list[str], parents: list[str]) -> None:
    assert algos("scale=paper", "algo=apa", *words) == parents


def test_adapters_of_stack_exchange_have_the_ranks_of_the_paper() -> None:
    job = plan("scale=paper", "data=stack_exchange", "algo=apa")
    sft, judge = job.parents
    assert [run.config["model"]["lora"]["rank"] for run in (sft, judge, job)] == [16, 8, 16]
    assert job.config["model"]["policy"]["source"] == "huggyllama/llama-7b"
    assert [judge.parents[0].key, job.config["init_from"]] == [sft.key, sft.key]


def test_a_reward_model_at_the_bar_is_taken_where_the_file_of_the_data_says_so_alone() -> None:
    taken = {(data, scale) for data in DATA for scale in ("mini", "small", "paper")
             if plan(f"data={data}", f"scale={scale}", "algo=ppo").config["reward"].get("at_chance")}  # fmt: skip
    assert taken == {("stack_exchange", "mini")}


def test_what_the_file_says_of_the_bundled_rows_takes_no_such_reward_model_on_real_ones() -> None:
    real = ("data=stack_exchange", "algo=ppo", "data.source=hub")
    for words in ((), ("reward.batch_size=8",), ("heuristic=partial_sft",)):
        assert plan(*real, *words).config["reward"]["at_chance"] is False
    assert plan(*real, "reward.at_chance=true").config["reward"]["at_chance"] is True
    assert plan("data=stack_exchange", "algo=ppo", "data.source=bundled").config["reward"]["at_chance"] is True


def test_responses_of_rows_are_scored_by_the_reward_and_others_as_they_were() -> None:
    for scale in ("mini", "small", "paper"):
        for algo in ("ilql", "offline_awr", "offline_apa"):
            assert plan(f"scale={scale}", "data=hh", f"algo={algo}").config["algo"]["loop"]["scores"] == "reward"
    assert plan("data=imdb", "algo=ilql").config["algo"]["loop"]["scores"] == "given"


def test_every_loop_that_has_a_start_exists() -> None:
    for loops in STARTS.values():
        assert all(method(loop, "run") for loop in loops)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "data/hh",
            "policy: sft",
            "policy: sftt",
            r"conf/data/hh.yaml:\d+: start.policy: sftt; expected one of base, sft",
        ),
        ("data/hh", "policy: sft", "policies: sft", r"policies in start; expected one of policy, reward_model"),
        ("data/hh", "name: gptj_hh", "name: gptj", r"conf/data/hh.yaml:\d+: scales.paper.reward.name: gptj"),
        ("model/pythia_125m_sft", "sft_on: [hh]", "sft_on: [hhh]", r"pythia_125m_sft.yaml:\d+: sft_on: hhh"),
    ],
)
def test_a_wrong_name_in_these_tables_is_named_with_its_line(
    tmp_path: Path, file: str, old: str, new: str, said: str
) -> None:
    shutil.copytree(CONF, tmp_path / "conf", symlinks=True)
    path = tmp_path / "conf" / f"{file}.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=said):
        Tables(tmp_path / "conf").read(file)


@pytest.mark.parametrize(
    ("data", "before", "position", "most"),
    [("hh", "", "last", 1024), ("tldr", "<|startoftext|>", "before_last", 550)],
)
def test_published_reward_models_read_what_they_were_trained_to_read(
    data: str, before: str, position: str, most: int
) -> None:
    """HH at the EOS behind the response, TL;DR at the token before it; of a longer text the end is read."""
    reward = plan("scale=paper", f"data={data}", "algo=apa").config["reward"]
    assert (reward["before"], reward["after"], reward["position"]) == (before, "<|endoftext|>", position)
    assert (reward["max_tokens"], reward["tokenizer"], reward["trunk"]) == (most, "gpt2", "EleutherAI/gpt-j-6B")
