"""Published experiments: every file composes as it says, and the presets change what the docs list, no more."""

from pathlib import Path
from typing import Any

import pytest
from test_config import CONF, plan

from rftlab import runs
from rftlab.config.options import content as of_file
from rftlab.config.options import of_group
from rftlab.config.scales import Tables

FILES = sorted((CONF / "experiment").rglob("*.yaml"))
ONLINE = [name for name in of_group("algo") if Tables(CONF).find(f"data/scales/online/imdb/mini/{name}/text")]
BUDGET = ["experiment=apa/like_for_like"]  # any budget: not every algorithm has one at scale=paper
SHARED = {  # of the released code of APA, beside the defaults
    "algo.loss.whiten_advantages": "minibatch",
    "algo.loop.score_scaling": "running",
    "model.unfrozen_blocks": 2,
    "optimizer.build.betas": [0.9, 0.95],
}


def differences(one: list[str], other: list[str]) -> dict[str, Any]:
    """Return the keys whose values differ between two configs, with their values in the second."""
    configs = (plan(*overrides).config for overrides in (one, other))
    first, second = (runs.flatten({key: config[key] for key in config if key != "overrides"}) for config in configs)
    assert first.keys() == second.keys()
    return {key: value for key, value in second.items() if value != first[key]}


@pytest.mark.parametrize("scale", ["mini", "paper"])
@pytest.mark.parametrize("data", ["narrativeqa", "imdb"])
def test_a_diagnosis_samples_and_scores_what_training_does(scale: str, data: str) -> None:
    common = [f"scale={scale}", f"data={data}"]
    first, *others = (plan(*common, f"algo={algo}").config for algo in ("diagnose", "ppo", "apa", "sft"))
    for other in others:
        assert (first["data"], first["model"]["policy"]) == (other["data"], other["model"]["policy"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF / "experiment").with_suffix("")))
def test_the_first_comment_of_an_experiment_is_a_command_that_composes_it(path: Path) -> None:
    command = next(line for line in path.read_text().splitlines() if line.startswith("# ") and "@package" not in line)
    program, overrides = command.split(" src/train.py ")
    assert program == "# python"
    assert f"experiment={path.relative_to(CONF / 'experiment').with_suffix('')}" in overrides.split()
    assert "???" not in str(plan(*overrides.split()).config)


@pytest.mark.parametrize("name", ["gradient_bound", "ppo_gradient", "time_separation"])
def test_computed_cases_are_no_rows_of_the_hub_at_the_scale_of_the_papers(name: str) -> None:
    assert plan(f"experiment=theory/{name}", "scale=paper").config["data"]["source"] == "bundled"


def test_released_code_of_apa_changes_what_the_docs_list() -> None:
    changed = differences(["algo=apa", "data=imdb"], ["data=imdb", "experiment=apa/released_code_apa"])
    assert changed == SHARED | {
        "algo.loop.score_clip": 100.0,
        "data.rollout.top_k": 50,
        "data.probe.top_k": 50,
        "data.evaluation.top_k": 50,  # IMDB is evaluated as it is sampled
    }


def test_released_code_of_ppo_changes_what_the_docs_list() -> None:
    changed = differences(["algo=ppo", "data=imdb"], ["data=imdb", "experiment=apa/released_code_ppo"])
    assert changed == SHARED | {
        "algo.loss.value_coef": 1.0,
        "algo.loss.kl.initial": 0.05,
        "algo.loss.kl.target": 6.0,
        "algo.loss.kl.rate": 0.0128,
        "algo.loop.score_clip": 10.0,
        "model.value.kind": "head",
    }


@pytest.mark.parametrize(("algo", "lr"), [("apa", 1e-6), ("ppo", 8e-6)])
def test_the_budget_of_the_125m_model_is_that_of_the_released_code(algo: str, lr: float) -> None:
    config = plan("scale=paper", "data=imdb", f"experiment=apa/released_code_{algo}").config
    loop, steps = config["algo"]["loop"], 128 // 8 * 2
    assert (loop["prompts_per_iteration"], loop["samples_per_prompt"], loop["minibatch_size"]) == (128, 1, 8)
    assert loop["iterations"] * steps == 20_000 and loop["update_epochs"] == 2
    assert abs(config["eval"]["every"] * steps - 1000) < steps
    assert config["optimizer"]["lr"] == lr and config["eval"]["n_test"] == 280


def test_released_code_of_razin_changes_what_the_docs_list() -> None:
    preset = "experiment=vanishing_gradients/released_code"
    sampling = {"data.rollout.top_k": 50, "data.probe.top_k": 50, "model.value.head": "linear"}
    ppo = {
        "algo.loss.value_clip_range": None,
        "algo.loss.gamma": 0.99,
        "algo.loop.update_epochs": 5,
        "optimizer.max_grad_norm": 0.5,
    }
    for algo, own in {"ppo": ppo, "sft": {}, "diagnose": {"algo.loop.n_prompts": 5000}}.items():
        assert differences([f"algo={algo}"], [f"algo={algo}", preset]) == sampling | own


@pytest.mark.parametrize("algo", ["ppo", "sft", "diagnose"])
@pytest.mark.parametrize("data", ["narrativeqa", "imdb"])
def test_scale_paper_is_the_released_code_of_razin_also_where_no_preset_is_named(algo: str, data: str) -> None:
    words = ["scale=paper", f"data={data}", f"algo={algo}"]
    changed = differences(words, [*words, "experiment=vanishing_gradients/released_code"])
    assert changed == {}


@pytest.mark.parametrize("data", ["narrativeqa", "imdb"])
def test_all_runs_of_a_dataset_sample_alike_at_scale_paper(data: str) -> None:
    """The published sampling is the dataset's: SFT, diagnosis and every online algorithm are measured with it."""
    common = ["scale=paper", f"data={data}"]
    cells = [[f"algo={algo}"] for algo in ("sft", "diagnose")] + [[f"algo={algo}", *BUDGET] for algo in ONLINE]
    rollouts = [plan(*common, *cell).config["data"]["rollout"] for cell in cells]
    assert all(rollout == rollouts[0] for rollout in rollouts) and rollouts[0]["top_k"] == 50


def test_apa_of_the_paper_trains_the_last_two_layers_and_a_separate_value_network_with_an_mlp() -> None:
    for words in (["scale=paper", "algo=apa"], ["experiment=apa/released_code_apa"]):
        model = plan("data=imdb", *words).config["model"]
        assert model["unfrozen_blocks"] == 2 and model["value"] == {"kind": "separate", "head": "mlp"}
    model = plan("data=imdb", "experiment=apa/released_code_ppo").config["model"]
    assert model["unfrozen_blocks"] == 2 and model["value"] == {"kind": "head", "head": "mlp"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_preset_takes_no_heuristic_back(path: Path) -> None:
    """A preset goes above a heuristic: a key that both set would be the preset's, and the heuristic a mere name."""
    turned = {key for content in of_group("heuristic").values() for key in runs.flatten(content)}
    own = of_file(f"experiment/{path.relative_to(CONF / 'experiment').with_suffix('')}")
    tables = [row for name in ("scales", "algos") for row in own.get(name, {}).values()]
    for content in (own, *tables):
        assert not turned & {key for key in runs.flatten(content) if not key.startswith(("heuristic.", "parent."))}


@pytest.mark.parametrize("preset", ["apa/released_code_apa", "apa/released_code_ppo"])
def test_a_preset_goes_with_a_heuristic_whose_parent_it_leaves_alone(preset: str) -> None:
    made = plan(f"experiment={preset}", "heuristic=partial_sft")
    assert [parent.config["algo"]["name"] for parent in made.parents] == ["sft"]
