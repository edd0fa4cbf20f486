"""Every heuristic with every algorithm: it turns something beside its own name, or is refused by its name."""

from typing import Any

import pytest
from test_config import plan

from rftlab import runs
from rftlab.config.messages import explain
from rftlab.config.options import kind_of_data, kinds_of_algo, of_group, options

HEURISTICS = [name for name in options("heuristic") if name != "none"]
SAMPLING = {"temperature", "dynamic_sampling", "reward_std_curriculum"}  # heuristics of what is sampled
DATA = ("imdb", "mnist", "one_token", "imdb_labels")  # one of each kind
ONLINE = {"ppo", "nlpo", "apa", "reinforce", "rloo", "grpo", "rejection"}


def planned(*words: str) -> Any:
    """Plan a run, or say in one line why not."""
    try:
        return plan(*words)
    except Exception as error:
        return explain(error)


def flat(job: Any) -> dict[str, Any]:
    found = runs.flatten({key: value for key, value in job.config.items() if key not in {"overrides", "name"}})
    return {key: value for key, value in found.items() if key != "heuristic.name"}


CELLS = [
    (algo, data)
    for algo, of_algo in of_group("algo").items()
    for data in DATA
    if kind_of_data(of_group("data")[data]) in kinds_of_algo(of_algo)
    and (algo, data) != ("pretrain", "imdb")  # text, but no plain text
]


def test_there_is_a_cell_of_every_algorithm() -> None:
    assert {algo for algo, _ in CELLS} == set(options("algo"))


@pytest.mark.parametrize("heuristic", HEURISTICS)
@pytest.mark.parametrize(("algo", "data"), CELLS)
def test_it_turns_something_or_is_refused_by_its_name(heuristic: str, algo: str, data: str) -> None:
    job = planned(f"algo={algo}", f"data={data}", f"heuristic={heuristic}")
    if isinstance(job, str):
        assert f"heuristic={heuristic}" in job and "; expected " in job and "\n" not in job
        return
    alone = plan(f"algo={algo}", f"data={data}")
    assert job.key != alone.key
    assert flat(job) != flat(alone)


@pytest.mark.parametrize("heuristic", HEURISTICS)
@pytest.mark.parametrize("algo", sorted(ONLINE))
def test_algorithms_on_own_samples_take_every_heuristic_but_one_without_entropy(heuristic: str, algo: str) -> None:
    job = planned(f"algo={algo}", "data=imdb", f"heuristic={heuristic}")
    has_entropy = algo != "rejection"
    assert isinstance(job, str) == (heuristic == "entropy" and not has_entropy)


@pytest.mark.parametrize("heuristic", sorted(SAMPLING))
@pytest.mark.parametrize("data", ["imdb", "mnist"])
def test_nothing_is_chosen_where_nothing_is_sampled(heuristic: str, data: str) -> None:
    assert f"heuristic={heuristic}" in planned("algo=sft", f"data={data}", f"heuristic={heuristic}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["algo.loop.samples_per_prompt=1", "algo.loop.minibatch_size=16", "algo.loop.microbatch_size=16"],
            "2 or more",
        ),
        (["scale=paper", "data=imdb", "algo.loop.samples_per_prompt=2"], "a rollout counted in prompts"),
    ],
)
def test_dynamic_sampling_needs_groups_and_prompts_to_count(words: list[str], said: str) -> None:
    found = planned("algo=ppo", "heuristic=dynamic_sampling", *words)
    assert found.startswith("heuristic=dynamic_sampling with algo=ppo") and said in found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algo.loop.best.keep=5"], "algo.loop.best.keep=5 above algo.loop.samples_per_prompt=4"),
        (["algo.loop.best.keep=3", "algo.loop.minibatch_size=32", "algo.loop.microbatch_size=8"], "keep=48 is not"),
        (["algo.loop.best.min_quantile=1.0"], "algo.loop.best.min_quantile=1.0"),
        (["algo.loop.tokens_per_iteration=2000", "algo.loop.minibatch_tokens=500", "algo.loop.minibatch_size=null",
          "algo.loop.prompts_per_iteration=null"], "a rollout counted in prompts"),
        (["optimizer.warmup_steps=120"], "optimizer.warmup_steps=120 of 120"),  # 30 x 2 passes x 16 kept rows / 8
    ],
)  # fmt: skip
def test_what_is_kept_fits_into_what_is_sampled(words: list[str], said: str) -> None:
    assert said in planned("algo=rejection", "data=imdb", *words)


def test_every_heuristic_is_of_one_of_these_kinds() -> None:
    assert set(of_group("heuristic")) == {"none", "learning_rate", "entropy", "partial_sft"} | SAMPLING


IDLE = {  # what would do nothing, or another thing than it says -> found, and the keys to change
    "heuristic.name=dynamic_sampling": ("heuristic.name=dynamic_sampling without heuristic.prompts", "heuristic.name"),
    "heuristic.name=temperature": ("heuristic.name=temperature without heuristic.temperature", "heuristic.name"),
    "heuristic=temperature heuristic.name=none": ("heuristic.name=none with heuristic.temperature", "heuristic.name"),
    "heuristic=entropy heuristic.name=learning_rate": ("learning_rate without heuristic.factor", "heuristic.name"),
    "heuristic=dynamic_sampling heuristic.prompts=null": ("heuristic.prompts=null", "heuristic.prompts or heuristic"),
    "heuristic=reward_std_curriculum heuristic.prompts=null": (
        "heuristic.prompts=null with heuristic=reward_std_curriculum",
        "heuristic.prompts or heuristic",
    ),
    "heuristic=entropy algo.loss.entropy_coef=0": (
        "algo.loss.entropy_coef=0.0 with heuristic=entropy, which turns it to 0.01",
        "algo.loss.entropy_coef or heuristic",
    ),
    "heuristic=learning_rate optimizer.lr_factor=1": ("which turns it to 10.0", "optimizer.lr_factor or heuristic"),
    "heuristic=temperature data.rollout.temperature=2": (
        "data.rollout.temperature=2.0 with heuristic=temperature, which turns it to 1.5",
        "data.rollout.temperature or heuristic",
    ),
    "heuristic=partial_sft parent.overrides=['algo=sft']": (
        "parent.overrides that lacks algo.loop.step_fraction=0.4",
        "parent.overrides or heuristic",
    ),
    "heuristic=partial_sft parent.overrides=[]": ("parent.overrides that lacks algo=sft", "parent.overrides or heur"),
    "heuristic=entropy heuristic.coef=0": ("heuristic.coef=0.0 with", "heuristic.coef or heuristic"),
    "heuristic=learning_rate heuristic.factor=1": ("which turns nothing", "heuristic.factor or heuristic"),
    "heuristic=temperature heuristic.temperature=1.0": (
        "heuristic.temperature=1.0 with heuristic=temperature, which turns nothing",
        "heuristic.temperature or heuristic",
    ),
}


@pytest.mark.parametrize("words", IDLE)
def test_a_heuristic_that_does_not_do_what_its_name_says_is_refused(words: str) -> None:
    said = planned("algo=ppo", "data=imdb", *words.split())
    found, change = IDLE[words]
    assert isinstance(said, str) and found in said and f"; change {change}" in said and "\n" not in said


@pytest.mark.parametrize(
    "words",
    [
        "heuristic=temperature data.rollout.temperature=1.5",
        "heuristic=entropy heuristic.name=entropy_of_mine",
        "heuristic=partial_sft heuristic.step_fraction=1 heuristic.sample_fraction=1",
        "heuristic=none optimizer.lr_factor=1 algo.loss.entropy_coef=0",
    ],
)
def test_a_heuristic_that_does_is_taken(words: str) -> None:
    assert not isinstance(planned("algo=ppo", "data=imdb", *words.split()), str)
