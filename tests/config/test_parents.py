"""Runs that must come first: composed from what a config says of them, shared, in order, and refused where unclear."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab import runs
from rftlab.commands.arguments import as_hydra_wants
from rftlab.config.compose import Composer
from rftlab.config.messages import explain
from rftlab.config.options import CONF, options
from rftlab.errors import UserError
from rftlab.runs.parents import needed_runs
from rftlab.sweeps.job import Job

KEY = "0123456789ab"
FILES = {  # rewards of a run that must come first: of one run, of a chain of three, of themselves
    "judged": "algo=sft",
    "chained": "algo=ppo, heuristic=partial_sft, heuristic.step_fraction=0.1",
    "nested": "algo=ppo, reward=judged",
    "endless": "algo=sft, reward=endless",
}
REWARD = "_target_: judge.load\nbatch_size: 8\nat_chance: false\nrun: null\nparent: {{overrides: [{}]}}\n"


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parents") / "conf"
    shutil.copytree(CONF, folder, symlinks=True)
    for name, overrides in FILES.items():
        (folder / "reward" / f"{name}.yaml").write_text(REWARD.format(overrides))
    text = (CONF / "data" / "narrativeqa.yaml").read_text().replace("name: narrativeqa", "name: circular")
    (folder / "data" / "circular.yaml").write_text(text.replace("reward: rouge_l_max", "reward: judged"))
    return folder


@pytest.fixture(scope="module")
def composer(conf: Path) -> Iterator[Composer]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        yield Composer(GlobalHydra.instance().config_loader())


def made(composer: Composer, *words: str) -> Job:
    return composer.job(as_hydra_wants(words))


def test_a_run_has_the_run_it_starts_from_and_the_one_that_its_reward_names_as_parents(composer: Composer) -> None:
    job = made(composer, "algo=ppo", "heuristic=partial_sft", "reward=judged")
    start, judge = job.parents
    assert needed_runs(job.config) == {"init_from": start.key, "reward.run": judge.key}
    assert start.key != judge.key  # another share of SFT
    assert job.config["reward"]["parent"] == {"overrides": ["algo=sft"]}


def test_a_default_reward_is_no_word_of_a_parent(composer: Composer) -> None:
    (start,) = made(composer, "algo=ppo", "heuristic=partial_sft").parents
    assert not [word for word in start.config["overrides"] if "reward" in word]
    (start,) = made(composer, "algo=ppo", "heuristic=partial_sft", "reward=sentiment").parents
    assert "reward=sentiment" in start.config["overrides"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["algo=dpo", "algo.responses.parent.overrides=[algo=reward_model]"], "algo=responses among them"),
        (["algo=ppo", "reward=learned", "reward.parent.overrides=[algo=sft]"], "algo=reward_model among them"),
    ],
)
def test_a_parent_that_makes_something_else_is_refused_before_it_is_trained(
    composer: Composer, words: list[str], wanted: str
) -> None:
    with pytest.raises(UserError, match=f"which compose a run of algo=.*{wanted}; change .*parent.overrides"):
        made(composer, *words, "data=imdb")


@pytest.mark.parametrize("data", ["imdb", "narrativeqa"])
def test_what_a_scale_says_of_the_reward_of_a_dataset_is_for_that_one_alone(composer: Composer, data: str) -> None:
    job = made(composer, "algo=ppo", f"data={data}", "scale=paper", "reward=learned")
    assert set(job.config["reward"]) == {"_target_", "run", "parent", "batch_size", "at_chance"}
    assert {parent.config["algo"]["name"] for parent in job.parents} == {"reward_model"}
    default = made(composer, "algo=ppo", f"data={data}", "scale=paper").config["reward"]
    assert default.get("weight") == 1.2 or default["source"] == "lvwerra/distilbert-imdb"
    (judge,) = job.parents
    assert judge.config["reward"] == default  # the responses behind it are scored by the reward of the data


def test_one_run_that_is_needed_twice_is_one_parent(composer: Composer) -> None:
    words = "reward.parent.overrides=[algo=sft,algo.loop.step_fraction=0.4,algo.loop.sample_fraction=0.4]"
    job = made(composer, "algo=ppo", "heuristic=partial_sft", "reward=judged", words)
    (parent,) = job.parents
    assert set(needed_runs(job.config).values()) == {parent.key}


def test_parents_have_parents_at_any_depth(composer: Composer) -> None:
    (judge,) = made(composer, "reward=chained").parents
    (sft,) = judge.parents
    assert [judge.config["algo"]["name"], sft.config["algo"]["name"], sft.parents] == ["ppo", "sft", ()]
    assert sft.config["algo"]["loop"]["step_fraction"] == 0.1
    (middle,) = made(composer, "reward=nested", "seed=4").parents
    (last,) = middle.parents
    assert middle.config["reward"]["run"] == last.key
    assert {job.config["seed"] for job in (middle, last)} == {4}


def test_the_reward_of_a_parent_is_that_of_its_child_unless_that_one_is_learned(composer: Composer) -> None:
    (plain,) = made(composer, "heuristic=partial_sft", "reward.weight=1.5").parents
    assert plain.config["reward"]["weight"] == 1.5
    (other,) = made(composer, "data=imdb", "heuristic=partial_sft", "reward=rouge_l_max").parents
    assert other.config["reward"]["_target_"].endswith("RougeLMax")
    own = made(composer, "algo=sft").config["reward"]
    for words in (["reward=judged"], ["heuristic=partial_sft", "reward=judged", f"reward.run={KEY}"]):
        (parent,) = made(composer, *words).parents
        assert parent.config["reward"] == own


def test_a_parent_is_what_its_words_compose_to(composer: Composer) -> None:
    for job in made(composer, "heuristic=partial_sft", "reward=judged", "data.loader.n_train=50").parents:
        assert composer.job(job.config["overrides"]).key == job.key
    (judge,) = made(composer, "reward=judged").parents
    assert judge.key == made(composer, "algo=sft").key


def test_what_the_overrides_of_a_parent_say_stays(composer: Composer) -> None:
    words = "reward.parent.overrides=[algo=sft,data.loader.n_train=70,eval.n_logged=3,data=imdb]"
    (parent,) = made(composer, "reward=judged", "data.loader.n_train=50", words).parents
    data, evaluation = parent.config["data"], parent.config["eval"]
    assert (data["name"], data["loader"]["n_train"], evaluation["n_logged"]) == ("imdb", 70, 3)
    assert parent.config["reward"]["_target_"].endswith("sentiment.load")
    words = words.replace(",data=imdb", "")
    (parent,) = made(composer, "reward=judged", "data.loader.n_train=50", words).parents
    assert parent.config["data"]["loader"]["n_train"] == 70
    assert composer.job(parent.config["overrides"]).key == parent.key


def test_children_that_agree_share_a_parent_and_seeds_have_their_own(composer: Composer) -> None:
    jobs = [
        made(composer, "reward=judged", f"algo={algo}", f"seed={seed}") for algo in ("ppo", "apa") for seed in (0, 1)
    ]
    parents = [job.parents[0] for job in jobs]
    assert parents[0] is parents[2] and parents[1] is parents[3] and parents[0].key != parents[1].key


def test_a_run_that_is_given_needs_no_parent_and_counts_in_the_key(composer: Composer) -> None:
    job = made(composer, "reward=judged", f"reward.run={KEY}")
    assert (job.parents, job.config["reward"]["parent"], job.config["reward"]["run"]) == ((), None, KEY)
    assert job.key == made(composer, "reward=judged", f"reward.run={KEY}", "reward.parent=null").key
    assert job.key != made(composer, "reward=judged", "reward.run=0123456789ac").key
    assert made(composer, "reward=judged", "reward.run=12345e678901").config["reward"]["run"] == "12345e678901"
    assert runs.changed_keys(job.config, made(composer, "reward=judged").config) == [
        "reward.parent", "reward.parent.overrides", "reward.run",
    ]  # fmt: skip


@pytest.mark.parametrize("name", options("reward"))
def test_every_reward_composes(composer: Composer, name: str) -> None:
    given = {
        "learned": [f"reward.run={KEY}"],
        "function": ["reward.function=json.dumps"],
        "intent": ["reward.label=0"],
        "published": ["reward.source=a/b"],
        "none": ["algo=sft"],
    }.get(name, [])
    reward = made(composer, f"reward={name}", *given).config["reward"]
    assert (reward is None) == (name == "none") and (reward is None or reward["_target_"])


REFUSED = {
    "no run and no parent": (["reward.parent=null"], "reward.run=null and reward.parent=null"),
    "a word for a run": (["reward.run=latest"], "12 hex digits"),
    "a run and a parent": ([f"reward.run={KEY}", "reward.parent.overrides=[algo=sft]"], "expected one of them"),
    "a parent by hand": (["reward.parent={overrides:[seed]}"], "a parent by hand"),
    "a part of a parent": (["reward.parent.algo=sft"], "expected reward.parent.overrides=[KEY=VALUE,...]"),
    "a word for a parent": (["reward.parent=sft"], "expected null, or overrides"),
    "a mistake in a parent": (["reward.parent.overrides=[algo=foo]"], "algo=foo, which is no option"),
    "a parent that needs itself": (["reward=endless"], "a parent that needs itself first"),
    "a reward of the data that needs itself": (["data=circular", "model=t5_mini"], "a parent that needs itself first"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_names_no_run_or_two_is_refused_in_one_line(composer: Composer, case: str) -> None:
    words, expected = REFUSED[case]
    words = words if "=endless" in words[0] or "circular" in words[0] else ["reward=judged", *words]
    with pytest.raises(Exception) as error:
        made(composer, *words)
    line = explain(error.value)
    assert expected in line and "; change " in line and "\n" not in line
    made(composer, "reward=judged")  # nothing of the refusal stays behind


def test_a_dataset_may_bring_a_reward_of_its_own_or_values_for_one_of_conf(conf: Path) -> None:
    text = (
        (CONF / "data" / "narrativeqa.yaml").read_text().replace("name: narrativeqa", "name: mine").split("scales:")[0]
    )
    given = {
        "{_target_: rftlab.rewards.rouge.RougeLMax, word_limit: 5, stem: true, weight: 1.0}": 5,
        "{name: rouge_l_max, word_limit: 7}": 7,
    }
    for reward, limit in given.items():
        (conf / "data" / "mine.yaml").write_text(text.replace("reward: rouge_l_max", f"reward: {reward}"))
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(conf), version_base="1.3"):
            job = Composer(GlobalHydra.instance().config_loader()).job(
                ["data=mine", "model=t5_mini", "algo=diagnose", "reward.weight=1.5"]
            )
        assert (job.config["reward"]["word_limit"], job.config["reward"]["weight"]) == (limit, 1.5)
    (conf / "data" / "mine.yaml").write_text(text.replace("reward: rouge_l_max", "reward: rogue"))
    GlobalHydra.instance().clear()
    with (
        initialize_config_dir(str(conf), version_base="1.3"),
        pytest.raises(UserError, match=r"mine.yaml:\d+: reward: rogue"),
    ):
        Composer(GlobalHydra.instance().config_loader()).job(["data=mine", "model=t5_mini", "algo=diagnose"])
    (conf / "data" / "mine.yaml").unlink()
